"""How good a model is, and the report that says so.

    split           recordings into folds: what is learnt from, and what is judged
    group_folds     whole groups, as speakers, into even folds
    fold_file       folds that somebody published
    metrics         ScoredSamples in, Evaluation out: every figure, as numbers and as JSON
    cross_validated  figures of folds and seeds
    scored_samples  what is evaluated: ground truth and probabilities, a row a recording
    intervals       95 % intervals
    calibration     whether the probabilities mean what they say
    roc             ROC curves whose every number is finite
    report          the report's folder: report.html, PNGs, metrics.json
    plots           the report's pictures
    canvas          what they have in common: sizes, colors, PNG

scikit-learn, SciPy's statistics, matplotlib and jinja2 are imported by the functions that use them: importing this
package costs nothing, and figures can be computed where there is no matplotlib.
"""

from ser.evaluation.metrics import ClassRow, Evaluation, GroupRow, WrongSample, evaluate
from ser.evaluation.report import ReportFacts, write_report
from ser.evaluation.roc import RocCurve
from ser.evaluation.scored_samples import ScoredSamples

__all__ = [
    "ClassRow",
    "Evaluation",
    "GroupRow",
    "ReportFacts",
    "RocCurve",
    "ScoredSamples",
    "WrongSample",
    "evaluate",
    "write_report",
]
