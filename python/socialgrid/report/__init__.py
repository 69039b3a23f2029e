"""What a run tells and what is drawn of it: reads and writes files, plays nothing, has no torch."""

from socialgrid.report.advice import binned_shares, draw_peers
from socialgrid.report.arms import Curve, draw_arms, mean_and_band, mean_over_agents
from socialgrid.report.comparison import (
    Trial,
    best_settings,
    comparison_table,
    draw_comparison,
    trials_of,
    windowed,
    without_idle,
)
from socialgrid.report.console import (
    Console,
    PlainConsole,
    RichConsole,
    duration,
    make_console,
    number,
)
from socialgrid.report.correlation import Influenced, correlated, influenced_in
from socialgrid.report.curves import draw_curves
from socialgrid.report.evaluation import (
    Evaluation,
    Outcome,
    Result,
    across_runs,
    outcomes_of,
    report_runs,
)
from socialgrid.report.events import Events, roles
from socialgrid.report.figures import (
    Reference,
    need_matplotlib,
    new_figure,
    read_references,
    save_figure,
    smooth,
)
from socialgrid.report.group_sizes import compare_group_sizes, draw_group_sizes
from socialgrid.report.matrix import Matrix, matrix_table
from socialgrid.report.metrics_file import MetricsFile, finite, read_metrics
from socialgrid.report.pictures import Image, enlarge, fit_into, view_image
from socialgrid.report.runs import RunCurves
from socialgrid.report.summary import mean_outcome, mean_return, summarise, tenth
from socialgrid.report.table import Entry, as_csv, long_table
from socialgrid.report.video import frame, go_on, with_curves, write_video
from socialgrid.report.worlds import Bar, bars_of, bars_table

__all__ = [
    "Bar",
    "Console",
    "Curve",
    "Entry",
    "Evaluation",
    "Events",
    "Image",
    "Influenced",
    "Matrix",
    "MetricsFile",
    "Outcome",
    "PlainConsole",
    "Reference",
    "Result",
    "RichConsole",
    "RunCurves",
    "Trial",
    "across_runs",
    "as_csv",
    "bars_of",
    "bars_table",
    "best_settings",
    "binned_shares",
    "compare_group_sizes",
    "comparison_table",
    "correlated",
    "draw_arms",
    "draw_comparison",
    "draw_curves",
    "draw_group_sizes",
    "draw_peers",
    "duration",
    "enlarge",
    "finite",
    "fit_into",
    "frame",
    "go_on",
    "influenced_in",
    "long_table",
    "make_console",
    "matrix_table",
    "mean_and_band",
    "mean_outcome",
    "mean_over_agents",
    "mean_return",
    "need_matplotlib",
    "new_figure",
    "number",
    "outcomes_of",
    "read_metrics",
    "read_references",
    "report_runs",
    "roles",
    "save_figure",
    "smooth",
    "summarise",
    "tenth",
    "trials_of",
    "view_image",
    "windowed",
    "with_curves",
    "without_idle",
    "write_video",
]
