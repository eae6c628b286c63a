"""What this plugin declares; nothing here loads torch or scipy."""

from __future__ import annotations

from harness.api import EncoderSpec, LossSpec, hookimpl


@hookimpl
def harness_encoders() -> list[EncoderSpec]:
    """Declare the text encoders."""
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
            name="fisher-words",
            target="harness_baselines.fisher:FisherWords",
            modality="text",
            summary="Fisher vectors of word vectors under a mixture of Gaussians, and a linear map",
            reference="Klein et al., CVPR 2015; Perronnin et al., ECCV 2010",
            sample={"components": 2, "length": 16},
        ),
        EncoderSpec(
            name="mean-words",
            target="harness_baselines.averages:MeanWords",
            modality="text",
            summary="The mean of fixed word vectors, as it is or under a linear map",
            reference="Klein et al., CVPR 2015; Frome et al., NIPS 2013",
            sample={"length": 16},
        ),
        EncoderSpec(
            name="tfidf",
            target="harness_baselines.tfidf:TfIdf",
            modality="text",
            summary="TF-IDF of the train words and a linear map",
            reference="Spärck Jones, Journal of Documentation 28 (1972)",
            sample={"min_count": 1, "length": 16},
        ),
        EncoderSpec(
            name="vse-gru",
            target="harness_baselines.gru:VseGru",
            modality="text",
            summary="The last state of a GRU over learned word embeddings, as VSE++ has it",
            reference="Faghri et al., BMVC 2018",
            sample={"width": 8, "min_count": 1, "length": 16},
        ),
    ]


@hookimpl
def harness_losses() -> list[LossSpec]:
    """Declare the losses."""
    return [
        LossSpec(
            name="cca",
            target="harness_baselines.cca:Cca",
            summary="Regularised linear canonical correlation analysis, in closed form",
            reference="Hotelling, Biometrika 28 (1936); Gong et al., IJCV 106 (2014)",
        ),
        LossSpec(
            name="devise",
            target="harness_baselines.devise:Devise",
            summary="Hinge rank loss of images mapped among fixed word vectors",
            reference="Frome et al., NIPS 2013",
        ),
        LossSpec(
            name="infonce",
            target="harness_baselines.infonce:InfoNce",
            summary="Symmetric InfoNCE over the batch",
            reference="van den Oord et al., arXiv 1807.03748; Radford et al., ICML 2021",
        ),
        LossSpec(
            name="siglip",
            target="harness_baselines.siglip:SigLip",
            summary="Pairwise sigmoid loss with learned temperature and bias",
            reference="Zhai et al., ICCV 2023",
        ),
        LossSpec(
            name="vsepp",
            target="harness_baselines.vsepp:VsePlusPlus",
            summary="Max of hinges over the hardest negatives of the batch",
            reference="Faghri et al., BMVC 2018",
        ),
    ]
