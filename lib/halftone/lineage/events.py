"""Build the events of OpenLineage. Imported only if events are sent: the client takes 0.3 s.

https://openlineage.io/docs/spec/object-model, and the naming of datasets beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import NamedTuple, Optional

from openlineage.client import event_v2, facet_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

import halftone
from halftone.lineage.datasets import DatasetFacts, column_types, name_dataset

_PRODUCER = f"urn:halftone:{halftone.__version__}"
_ENGINES = {"train": ("TensorFlow", "tensorflow")}  # by stage; name and package
_DEFAULT_ENGINE = ("Spark", "pyspark")
_DESCRIPTIONS = {
    "preprocess": "Converts a folder of raw images to a dataset.",
    "train": "Trains an image classifier on a dataset.",
    "score": "Predicts the classes of images with a model, and measures it.",
    "export": "Writes a dataset as TFRecord files.",
    "retrain": "Adds new images to a dataset, trains on it, and promotes the model if it is "
    "better.",
    "experiment": "Runs trainings with different settings, and compares their results.",
}
Datasets = Mapping[str, tuple[str, DatasetFacts]]  # by kind: URL, and what is known of it

event_v2.set_producer(_PRODUCER)
facet_v2.set_producer(_PRODUCER)


class JobDescription(NamedTuple):
    """A run of a job, which all its events name."""

    namespace: str
    config_name: str
    stage: str  # the job's script
    run_id: str  # a UUID

    @property
    def name(self) -> str:
        return f"{self.config_name}.{self.stage}"


def build_event(
    state: RunState,
    job: JobDescription,
    inputs: Datasets,
    outputs: Datasets,
    error_message: Optional[str] = None,
) -> RunEvent:
    """Return the event of a change of the run's state.

    Args:
        inputs: with the versions that the job has found at its start.
        outputs: with the versions that it has written, once it is complete.
        error_message: of a run that has failed.
    """
    return RunEvent(
        eventType=state,
        eventTime=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        run=Run(job.run_id, _run_facets(job.stage, error_message)),
        job=Job(job.namespace, job.name, _job_facets(job.stage)),
        inputs=[_input(url, facts) for url, facts in inputs.values()],
        outputs=[_output(url, facts) for url, facts in outputs.values()],
        producer=_PRODUCER,
    )


def _run_facets(stage: str, error_message: Optional[str]) -> dict[str, facet_v2.RunFacet]:
    name, package = _ENGINES.get(stage, _DEFAULT_ENGINE)
    facets: dict[str, facet_v2.RunFacet] = {
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            version=version(package), name=name, openlineageAdapterVersion=halftone.__version__
        )
    }
    if error_message is not None:
        facets["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            message=error_message, programmingLanguage="python"
        )
    return facets


def _job_facets(stage: str) -> dict[str, facet_v2.JobFacet]:
    return {
        "jobType": facet_v2.job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="HALFTONE", jobType=stage.upper()
        ),
        "documentation": facet_v2.documentation_job.DocumentationJobFacet(_DESCRIPTIONS[stage]),
    }


def _input(url: str, facts: DatasetFacts) -> InputDataset:
    namespace, name = name_dataset(url)
    statistics: dict[str, facet_v2.InputDatasetFacet] = {}
    if facts.num_files is not None:
        statistics["inputStatistics"] = (
            facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                facts.num_rows, facts.size_bytes, facts.num_files
            )
        )
    return InputDataset(namespace, name, statistics, facets=_dataset_facets(facts))


def _output(url: str, facts: DatasetFacts) -> OutputDataset:
    namespace, name = name_dataset(url)
    statistics: dict[str, facet_v2.OutputDatasetFacet] = {}
    if facts.num_files is not None:
        statistics["outputStatistics"] = (
            facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                facts.num_rows, facts.size_bytes, facts.num_files
            )
        )
    return OutputDataset(namespace, name, statistics, facets=_dataset_facets(facts))


def _dataset_facets(facts: DatasetFacts) -> dict[str, facet_v2.DatasetFacet]:
    facets: dict[str, facet_v2.DatasetFacet] = {}
    if facts.version is not None:
        facets["version"] = facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(
            facts.version
        )
    if facts.columns is not None:
        fields = [
            facet_v2.schema_dataset.SchemaDatasetFacetFields(**column)
            for column in column_types(facts.columns)
        ]
        facets["schema"] = facet_v2.schema_dataset.SchemaDatasetFacet(fields)
    return facets
