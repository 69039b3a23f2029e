"""What learners measure, in words: what a table has room for, and what only files keep."""

from __future__ import annotations

from socialgrid.measures.names import Place, declare

for _name in (
    *("policy_loss", "value_loss", "entropy", "kl", "loss", "critic_loss"),
    *("actor_loss", "td_error", "temperature"),
):
    declare(_name, place=Place.TABLE)
for _name in (
    *("clip_fraction", "kl_final", "gradient_steps", "restored", "gradient_norm", "learning_rate"),
    *("value_mean", "reward_mean"),
):
    declare(_name, place=Place.FILE)
