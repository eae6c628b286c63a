"""What this plugin declares; nothing here loads torch or scipy."""

from __future__ import annotations

from harness.api import EncoderSpec, LossSpec, hookimpl


@hookimpl
def harness_encoders() -> list[EncoderSpec]:
    """Declare `bag-of-words` and `tfidf`."""
    return [
        EncoderSpec(
            name="bag-of-words",
            target="harness_baselines.words:BagOfWords",
            modality="text",
            summary="Word embeddings, pooled without order, and a perceptron with one hidden layer",
            reference="Iyyer et al., ACL 2015",
            sample={"width": 8, "hidden": 8, "length": 16},
        ),
        EncoderSpec(
            name="tfidf",
            target="harness_baselines.tfidf:TfIdf",
            modality="text",
            summary="TF-IDF of the train words and a linear map",
            reference="Spärck Jones, Journal of Documentation 28 (1972)",
            sample={"min_count": 1, "length": 16},
        ),
    ]


@hookimpl
def harness_losses() -> list[LossSpec]:
    """Declare `cca` and `infonce`."""
    return [
        LossSpec(
            name="cca",
            target="harness_baselines.cca:Cca",
            summary="Regularised linear canonical correlation analysis, in closed form",
            reference="Hotelling, Biometrika 28 (1936); Gong et al., IJCV 106 (2014)",
        ),
        LossSpec(
            name="infonce",
            target="harness_baselines.infonce:InfoNce",
            summary="Symmetric InfoNCE over the batch",
            reference="van den Oord et al., arXiv 1807.03748; Radford et al., ICML 2021",
        ),
    ]
