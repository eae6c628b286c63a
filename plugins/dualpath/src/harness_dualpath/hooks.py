"""What this plugin declares; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import EncoderSpec, LossSpec, hookimpl

PAPER = "Zheng et al., Dual-Path Convolutional Image-Text Embeddings with Instance Loss, TOMM 2020"


@hookimpl
def harness_encoders() -> Iterable[EncoderSpec]:
    """Declare both paths, and the text path's opponent."""
    return [
        EncoderSpec(
            name="timm",
            modality="image",
            target="harness_dualpath.image:ImageCNN",
            summary="Any timm backbone with the paper's head; its features are cached while it is frozen",
            reference=PAPER,
            sample={"backbone": "test_resnet", "weights": None, "hidden": 32},
        ),
        EncoderSpec(
            name="text-cnn",
            modality="text",
            target="harness_dualpath.text:TextCNN",
            summary="The paper's residual CNN over words, 50 or 152 layers, with position shift",
            reference=PAPER,
            sample={"blocks": [1, 1], "width": 0.125, "embedding_dim": 16, "length": 12},
        ),
        EncoderSpec(
            name="text-rnn",
            modality="text",
            target="harness_dualpath.rnn:TextRNN",
            summary="GRU or LSTM over the same words and under the same head: the paper's CNN+RNN opponent",
            reference="Faghri et al., VSE++: Improving Visual-Semantic Embeddings with Hard Negatives, BMVC 2018",
            sample={"hidden": 24, "embedding_dim": 16, "length": 12},
        ),
    ]


@hookimpl
def harness_losses() -> Iterable[LossSpec]:
    """Declare the paper's losses."""
    return [
        LossSpec(
            name="instance",
            target="harness_dualpath.instance:InstanceLoss",
            summary="Every training image with its captions is a class; both paths share the classifier",
            reference=PAPER,
        ),
        LossSpec(
            name="ranking",
            target="harness_dualpath.ranking:RankingLoss",
            summary="Bidirectional ranking: random, hardest or mined negatives, a margin between cosines",
            reference=f"{PAPER}; Faghri et al., VSE++, BMVC 2018",
        ),
        LossSpec(
            name="k-class",
            target="harness_dualpath.kclass:KClassLoss",
            summary="Instance loss with k-means clusters of images as classes",
            reference=f"{PAPER}, Table 5",
            sample={"share": 0.5},
        ),
    ]
