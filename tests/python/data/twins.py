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
    returns = np.zeros_like(reward)
    for start in np.ndindex(reward.shape):
        t, *rest = start
        factor = 1.0
        for k in range(t, len(reward)):
            at = (k, *rest)
            returns[start] += factor * reward[at]
            factor *= gamma
            if k == len(reward) - 1 or not continues[at]:
                returns[start] += factor * next_value[at]
                break
    return returns


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
