"""What this plugin declares; nothing here loads numpy or scipy."""

from __future__ import annotations

from harness.api import EvaluatorSpec, Scale, hookimpl

_SIDES = ("i2t.*", "t2i.*")
# Tau-c need not reach 1, and neither does what compares one score with several people's grades.
_GRADES = Scale(better="higher", worst=-1.0, chance=0.0)
_CORRELATION = Scale(better="higher", best=1.0, worst=-1.0, chance=0.0)
_COUNT = Scale(better="neither")


@hookimpl
def harness_evaluators() -> list[EvaluatorSpec]:
    """Declare `cxc`, `eccv-caption` and `expert-judgments`."""
    return [
        EvaluatorSpec(
            name="cxc",
            target="harness_judgments.coco:Cxc",
            summary="R@K, mAP@R and R-Precision with the positives of Crisscrossed Captions (COCO 5K)",
            reference="Parekh et al., EACL 2021, arXiv 2004.15020",
            metrics=_SIDES,
            gallery="harness_judgments.galleries:cxc",
        ),
        EvaluatorSpec(
            name="eccv-caption",
            target="harness_judgments.coco:EccvCaption",
            summary="mAP@R, R-Precision and R@1 with the positives of ECCV Caption (COCO 5K)",
            reference="Chun et al., ECCV 2022, arXiv 2204.03359",
            metrics=_SIDES,
            gallery="harness_judgments.galleries:eccv",
        ),
        EvaluatorSpec(
            name="expert-judgments",
            target="harness_judgments.experts:ExpertJudgments",
            summary="Rank correlation of a model's scores with people's judgments of Flickr8k's test images",
            reference="Hodosh, Young and Hockenmaier, JAIR 47 (2013)",
            metrics=("expert.*", "crowd.*"),
            scales={
                "expert.judgments.*": _GRADES,
                "expert.ndcg": Scale(better="higher", best=1.0, worst=0.0),
                **{
                    f"{people}.{figure}": scale
                    for people in ("expert", "crowd")
                    for figure, scale in {
                        "kendall_tau_b": _CORRELATION,
                        "kendall_tau_c": _GRADES,
                        "spearman": _CORRELATION,
                        "pairs": _COUNT,
                        "left_out": _COUNT,
                    }.items()
                },
            },
            gallery="harness_judgments.galleries:judged",
        ),
    ]
