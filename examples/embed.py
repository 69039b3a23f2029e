"""Learning in plain PyTorch, in one short loop: policy gradient on an empty room with a goal.

python examples/embed.py [updates]
"""

import sys

import torch

import socialgrid


def main(updates: int = 200) -> list[float]:
    """Train for a number of updates; the mean reward per agent and step of each."""
    torch.manual_seed(0)
    env = socialgrid.make_vec("Empty-v0", num_envs=64, num_agents=1, seed=0)
    policy = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(21 * 21 * 3, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, env.num_actions),
    )
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    obs, _ = env.reset()
    history = []
    for _ in range(updates):
        log_probs, rewards = [], []
        for _ in range(16):
            views = torch.from_numpy(obs).flatten(0, 1).float() / 255
            choice = torch.distributions.Categorical(logits=policy(views))
            actions = choice.sample()
            obs, reward, _, _, _ = env.step(actions.reshape(64, 1).numpy())
            log_probs.append(choice.log_prob(actions))
            rewards.append(torch.from_numpy(reward).flatten())
        reward_to_go = torch.stack(rewards).flip(0).cumsum(0).flip(0)
        advantage = reward_to_go - reward_to_go.mean(1, keepdim=True)
        loss = -(torch.stack(log_probs) * advantage).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(torch.stack(rewards).mean().item())
    return history


if __name__ == "__main__":
    curve = main(*map(int, sys.argv[1:]))
    for start in range(0, len(curve), 20):
        part = curve[start : start + 20]
        print(f"updates {start:4d}-{start + len(part):4d}: {sum(part) / len(part):+.4f} a step")
