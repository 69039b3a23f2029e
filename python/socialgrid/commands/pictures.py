"""Films and pictures that a run leaves behind."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from socialgrid.config.errors import plain_line

if TYPE_CHECKING:
    from socialgrid.train.run import Run


def leave_pictures(trainer: Run) -> list[str]:
    """Draw curves and film an episode with the final weights.

    Returns:
        a line for each file, or why there is none.
    """
    lines = []
    logging, run_dir = trainer.config.logging, trainer.run_dir
    if logging.curves:
        try:
            from socialgrid.report.curves import draw_curves
            from socialgrid.report.runs import RunCurves

            curves = RunCurves(run_dir)
            lines.append(str(draw_curves([curves], run_dir / "curves.png")))
            if curves.worlds():
                from socialgrid.report.worlds import draw_worlds

                lines.append(str(draw_worlds([curves], run_dir / "worlds.png")))
            if curves.advised():
                from socialgrid.report.advice import draw_peers

                lines.append(str(draw_peers(curves, run_dir / "peers.png")))
        except Exception as error:  # the run is whole without them
            lines.append(_without("curves", error))
    if logging.video:
        try:
            lines.append(film(trainer))
        except Exception as error:  # encoders and graphics libraries raise what they like
            lines.append(_without("film", error))
    if trainer.config.closing.trials and trainer.config.regime.closes:
        lines += _closing(trainer)
    return lines


def _closing(trainer: Any) -> list[str]:
    """What the final weights do in the conditions of the run, or why that is not known."""
    from socialgrid.commands.closing import leave_closing

    try:
        return leave_closing(trainer)
    except Exception as error:
        return [_without("closing trials", error)]


def _without(what: str, error: Exception) -> str:
    reason = plain_line(str(error)) or type(error).__name__
    return reason if reason.startswith("no ") else f"no {what}: {reason[:300]}"


def film(trainer: Any) -> str:
    """Film one episode with everybody and the present weights.

    Raises:
        UsageError: the video extra is missing, or the task cannot be drawn here.
    """
    from socialgrid.report.video import write_video
    from socialgrid.train.regime import regime_of

    frames = regime_of(trainer.config).frames(trainer)
    return str(write_video(trainer.run_dir / "episode", frames))
