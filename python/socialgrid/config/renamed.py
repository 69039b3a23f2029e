"""Names of options that are not theirs any more, or never were; said where one is used."""

ELSEWHERE = {
    "lr": "learning_rate",
    "n_envs": "num_envs",
    "n_steps": "rollout_steps",
    "num_steps": "rollout_steps",
    "steps": "total_steps",
    "timesteps": "total_steps",
    "vf_coef": "value_coef",
    "clip_coef": "clip",
    "clip_range": "clip",
    "entropy": "entropy_coef",
    "output": "run_dir",
    "out": "run_dir",
}
"""What other projects call some options."""

RENAMED = {
    "algorithm.precision": "run.precision",
    "run.matmul_precision": "run.precision",
    "social.mechanisms": "social",
    "algorithm.aux": "aux",
    "algorithm.aux_coef": "prediction.coef",
    "network.decoder_output": "prediction.decoder_output",
    **{f"social.moa_{one}": f"moa.{one}" for one in ("coef", "visible_only", "memory")},
    **{f"social.inequity_{one}": f"inequity.{one}" for one in ("alpha", "beta", "smoothing")},
    "social.prosocial_eta": "prosocial.eta",
    **{f"social.message_{one}": f"comm.{one}" for one in ("coef", "entropy_coef", "embedding")},
    "social.vocabulary": "comm.vocabulary",
    **{f"social.{one}": f"influence.{one}" for one in ("num_influencers", "influencee_weight")},
    **{
        f"social.{one}": f"MECHANISM.{one}"
        for one in (
            *("environment_weight", "influence_weight", "curriculum", "divergence"),
            "influence_clip",
        )
    },
    "peers.groups": "players.groups",
    "peers.algorithms": "players.algorithms",
}
"""What had another name before 9487337, as ``section.field``."""
