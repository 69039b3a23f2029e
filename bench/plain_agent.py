"""One agent's network in plain PyTorch: what the stacked one has to equal."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn


class PlainAgent(nn.Module):
    """The network of appendix 7.7, written with torch.nn and nothing else."""

    def __init__(
        self,
        cells=7,
        tile=3,
        channels=(32, 64, 64),
        features=192,
        memory=192,
        heads=(64, 64),
        actions=7,
        decoder=True,
    ):
        super().__init__()
        side = cells - 2 * (len(channels) - 1)
        self.side, self.actions = side, actions
        flat = side * side * channels[-1]
        self.convs = nn.ModuleList([nn.Conv2d(3, channels[0], tile, tile)])
        for before, after in itertools.pairwise(channels):
            self.convs.append(nn.Conv2d(before, after, 3))
        self.project = nn.Linear(flat, features)
        self.lstm = nn.LSTMCell(features, memory)
        self.value_head = self.head(memory, heads, 1)
        self.policy_head = self.head(memory, heads, actions)
        self.deconvs = nn.ModuleList()
        if decoder:
            self.expand = nn.Linear(memory + actions, flat)
            back = channels[::-1]
            for before, after in itertools.pairwise(back):
                self.deconvs.append(nn.ConvTranspose2d(before, after, 3))
            self.deconvs.append(nn.ConvTranspose2d(back[-1], 3, tile, tile))

    @staticmethod
    def head(inputs, hidden, outputs):
        layers = []
        sizes = (inputs, *hidden)
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def features(self, obs):
        """uint8 [N, H, W, 3] -> [N, features]."""
        x = obs.permute(0, 3, 1, 2).float() / 255
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.01)
        return torch.tanh(self.project(x.permute(0, 2, 3, 1).flatten(1)))

    def forward(self, obs, h, c, reset):
        """obs [T, N, H, W, 3], reset [T, N] -> core [T, N, memory], logits, value, c."""
        steps, count = reset.shape
        features = self.features(obs.flatten(0, 1)).view(steps, count, -1)
        cores = []
        for t in range(steps):
            keep = (~reset[t]).float()[:, None]
            h, c = self.lstm(features[t], (h * keep, c * keep))
            cores.append(h)
        core = torch.stack(cores)
        return core, self.policy_head(core), self.value_head(core).squeeze(-1), c

    def predict(self, core, action):
        """core [N, memory], action [N] -> pixels [N, H, W, 3]."""
        x = torch.cat((core, F.one_hot(action, self.actions).float()), -1)
        x = torch.tanh(self.expand(x)).view(len(x), self.side, self.side, -1).permute(0, 3, 1, 2)
        for deconv in self.deconvs:
            x = F.leaky_relu(deconv(x), 0.01)
        return x.permute(0, 2, 3, 1)


def copy_from_stack(plain, stacked, agent):
    """Give a plain agent the weights of one agent of a stacked network."""
    own = {name: p.detach()[agent] for name, p in stacked.named_parameters()}
    state = {}
    first = plain.convs[0].weight.shape
    state["convs.0.weight"] = (
        own["encoder.first.weight"].view(first[0], first[2], first[3], 3).permute(0, 3, 1, 2)
    )
    state["convs.0.bias"] = own["encoder.first.bias"]
    for i in range(len(plain.convs) - 1):
        state[f"convs.{i + 1}.weight"] = own[f"encoder.convs.{i}.weight"].permute(0, 3, 1, 2)
        state[f"convs.{i + 1}.bias"] = own[f"encoder.convs.{i}.bias"]
    for part in ("weight", "bias"):
        state[f"project.{part}"] = own[f"encoder.project.0.{part}"]
        for head in ("value_head", "policy_head"):
            for i in range(sum(isinstance(m, nn.Linear) for m in getattr(plain, head))):
                state[f"{head}.{2 * i}.{part}"] = own[f"{head}.layers.{i}.{part}"]
        state[f"lstm.{part}_ih"] = own[f"lstm.{part}_ih"]
        state[f"lstm.{part}_hh"] = own[f"lstm.{part}_hh"]
    count = len(plain.deconvs)
    if count:
        state["expand.weight"] = own["branches.prediction.expand.weight"]
        state["expand.bias"] = own["branches.prediction.expand.bias"]
        for i in range(count - 1):
            state[f"deconvs.{i}.weight"] = own[f"branches.prediction.convs.{i}.weight"].permute(
                0, 3, 1, 2
            )
            state[f"deconvs.{i}.bias"] = own[f"branches.prediction.convs.{i}.bias"]
        last = plain.deconvs[-1].weight.shape
        state[f"deconvs.{count - 1}.weight"] = (
            own["branches.prediction.weight"].view(last[0], last[2], last[3], 3).permute(0, 3, 1, 2)
        )
        state[f"deconvs.{count - 1}.bias"] = own["branches.prediction.bias"]
    plain.load_state_dict({name: value.clone() for name, value in state.items()})
