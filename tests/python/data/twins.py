"""Slow, readable twins of the estimators: one number at a time, straight from the definitions."""

import numpy as np


def gae(reward, value, next_value, continues, gamma, lam, public=False):
    advantage = np.zeros_like(reward)
    for start in np.ndindex(reward.shape):
        t, *rest = start
        factor = 1.0
        for k in range(t, len(reward)):
            at = (k, *rest)
            if public:
                delta = reward[at] + gamma * (next_value[at] - value[at])
            else:
                delta = reward[at] + gamma * next_value[at] - value[at]
            advantage[start] += factor * delta
            if not continues[at]:
                break
            factor *= gamma * lam
    return advantage


def discounted_returns(reward, next_value, continues, gamma):
    return n_step_returns(reward, next_value, continues, gamma, len(reward))


def n_step_returns(reward, next_value, continues, gamma, n):
    returns = np.zeros_like(reward)
    for start in np.ndindex(reward.shape):
        t, *rest = start
        factor = 1.0
        for k in range(t, min(t + n, len(reward))):
            at = (k, *rest)
            returns[start] += factor * reward[at]
            factor *= gamma
            last = k == min(t + n, len(reward)) - 1
            if last or not continues[at]:
                returns[start] += factor * next_value[at]
                break
    return returns


def vtrace(log_rho, reward, value, next_value, continues, gamma, rho_max, c_max):
    rho = np.minimum(np.exp(log_rho), rho_max)
    c = np.minimum(np.exp(log_rho), c_max)
    targets = value.copy()
    advantage = np.zeros_like(value)
    for start in np.ndindex(reward.shape):
        t, *rest = start
        factor = 1.0
        for k in range(t, len(reward)):
            at = (k, *rest)
            targets[start] += factor * rho[at] * (reward[at] + gamma * next_value[at] - value[at])
            if not continues[at]:
                break
            factor *= gamma * c[at]
    for start in np.ndindex(reward.shape):
        t, *rest = start
        going = continues[start] and t + 1 < len(reward)
        following = targets[(t + 1, *rest)] if going else next_value[start]
        advantage[start] = rho[start] * (reward[start] + gamma * following - value[start])
    return targets, advantage


def next_values(value, last_value, terminated, truncated, final_value):
    following = np.zeros_like(value)
    for at in np.ndindex(value.shape):
        t, *rest = at
        if terminated[at]:
            following[at] = 0.0
        elif truncated[at]:
            following[at] = final_value[at]
        elif t + 1 < len(value):
            following[at] = value[(t + 1, *rest)]
        else:
            following[at] = last_value[tuple(rest)]
    return following
