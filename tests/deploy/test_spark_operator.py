"""SparkApplications and Helm values against the operator's own schema, and against the image."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from halftone.commands.main import build_parser
from halftone.config.load import load_config

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "conf" / "deploy" / "kubernetes"
OPERATOR = Path(__file__).parent / "spark_operator"
JOBS = ("preprocess", "train", "score")
IMAGE_FOLDER = "/opt/halftone/"


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as `kubectl --validate=strict` refuses them."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    keeps_unknown = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result["additionalProperties"] = bool(keeps_unknown)
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result


def application_schema() -> dict[str, Any]:
    schema: dict[str, Any] = closed(
        json.loads((OPERATOR / "sparkapplication.json").read_text(encoding="utf-8"))
    )
    # The API server adds the fields of metadata, whose schema is not part of the CRD.
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("name", "namespace")},
        "required": ["name"],
        "additionalProperties": False,
    }
    return schema


def problems(manifest: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(application_schema())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def read(name: str) -> dict[str, Any]:
    text = (MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
    manifest: dict[str, Any] = yaml.safe_load(text)
    return manifest


@pytest.mark.parametrize("job", JOBS)
def test_a_manifest_fits_the_schema_of_the_operator(job: str) -> None:
    manifest = read(job)
    assert problems(manifest) == []
    assert (manifest["apiVersion"], manifest["kind"]) == (
        "sparkoperator.k8s.io/v1beta2",
        "SparkApplication",
    )


def test_the_schema_refuses_mistakes() -> None:
    manifest = read("train")
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["executor"]["instance"] = 4
    assert "'instance' was unexpected" in problems(wrong)[0]
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["executor"]["cores"] = "4"
    assert problems(wrong) == ["$.spec.executor.cores: '4' is not of type 'integer'"]
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["sparkConf"]["spark.task.cpus"] = 4
    assert "is not of type 'string'" in problems(wrong)[0]
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["restartPolicy"]["type"] = "Sometimes"
    assert "is not one of ['Never', 'Always', 'OnFailure']" in problems(wrong)[0]
    del wrong["spec"]["sparkVersion"], wrong["spec"]["restartPolicy"]
    assert problems(wrong) == ["$.spec: 'sparkVersion' is a required property"]


def image_files() -> dict[str, str]:
    """Where the image has what of the repository, by the steps of the Dockerfile."""
    text = (ROOT / "conf" / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    steps = re.findall(r"^(?:ADD|COPY) (\S+) (\S+)$", text, re.MULTILINE)
    places = {}
    for source, target in steps:
        name = Path(source).name if target.endswith("/") and source.endswith(".zip") else ""
        places[target.rstrip("/") + (f"/{name}" if name else "")] = source
    return places


@pytest.mark.parametrize("job", JOBS)
def test_paths_of_a_manifest_are_in_the_image(job: str) -> None:
    spec = read(job)["spec"]
    places = image_files()
    assert places == {
        "/opt/halftone/environment": "dist/environment.tar.gz",
        "/opt/halftone/dist/halftone.zip": "dist/halftone.zip",
        "/opt/halftone/jobs": "jobs",
        "/opt/halftone/conf": "conf",
    }
    assert spec["mainApplicationFile"] == f"local:///opt/halftone/jobs/{job}.py"
    assert (ROOT / "jobs" / f"{job}.py").is_file()
    assert spec["deps"]["pyFiles"] == ["local:///opt/halftone/dist/halftone.zip"]
    python = spec["sparkConf"]["spark.pyspark.python"]
    assert python == "/opt/halftone/environment/bin/python"
    script = spec["sparkConf"].get("spark.executor.resource.gpu.discoveryScript", "")
    assert not script or (ROOT / script.removeprefix(IMAGE_FOLDER)).is_file()
    dockerfile = (ROOT / "conf" / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "WORKDIR /opt/halftone\n" in dockerfile  # where conf/faces.yaml is found
    assert f"apache/spark:{spec['sparkVersion']}-java17" in dockerfile


@pytest.mark.parametrize("job", JOBS)
def test_arguments_are_flags_and_settings_of_the_job(job: str) -> None:
    spec = read(job)["spec"]
    arguments = spec["arguments"]
    assert arguments[:2] == ["--config", "conf/faces.yaml"]
    overrides = [value for flag, value in zip(arguments, arguments[1:]) if flag == "--set"]
    config = load_config(str(ROOT / arguments[1]), overrides)
    flags = build_parser().parse_args([job, *arguments])  # it exits for an unknown flag
    assert flags.config == "conf/faces.yaml"
    if job == "train":
        assert config.train.ranks == spec["executor"]["instances"]
        assert spec["sparkConf"]["spark.task.cpus"] == str(spec["executor"]["cores"])
    paths = [value for value in arguments if value.startswith("s3://")]
    assert len(paths) == len(arguments[2:]) // 2 - len(overrides)  # all outputs are URLs


def test_the_lines_for_gpus_give_each_task_of_scoring_a_part_of_a_card() -> None:
    text = (MANIFESTS / "score.yaml").read_text(encoding="utf-8")
    manifest = yaml.safe_load(re.sub(r"^( +)# (?=spark\.)", r"\1", text, flags=re.MULTILINE))
    assert problems(manifest) == []
    settings, cores = manifest["spec"]["sparkConf"], manifest["spec"]["executor"]["cores"]
    gpus = {key: value for key, value in settings.items() if ".gpu." in key}
    assert gpus == {
        **{key: value for key, value in read("train")["spec"]["sparkConf"].items() if key in gpus},
        "spark.task.resource.gpu.amount": "0.25",
    }
    assert len(gpus) == 4
    assert float(gpus["spark.task.resource.gpu.amount"]) * cores == 1
    assert not [key for key in read("score")["spec"]["sparkConf"] if "gpu" in key]


def test_settings_are_those_of_the_script() -> None:
    """kubernetes.sh submits the same without an operator."""
    script = (ROOT / "conf" / "deploy" / "kubernetes.sh").read_text(encoding="utf-8")
    for key, value in read("train")["spec"]["sparkConf"].items():
        assert key in script, key
        assert value in script or value.isdigit(), value


def test_helm_values_are_values_of_the_chart() -> None:
    known = json.loads((OPERATOR / "values.json").read_text(encoding="utf-8"))

    def unknown(values: dict[str, Any], chart: dict[str, Any], at: str = "") -> list[str]:
        found = []
        for key, value in values.items():
            if key not in chart:
                found.append(f"{at}{key}")
            elif isinstance(value, dict):
                found += unknown(value, chart[key], f"{at}{key}.")
            elif not isinstance(value, type(chart[key])):
                found.append(f"{at}{key} is {type(value).__name__}")
        return found

    values = read("operator-values")
    assert unknown(values, known) == []
    mistaken = {"spark": {"jobNamespace": "x"}, "controller": {"workers": "4"}}
    assert unknown(mistaken, known) == ["spark.jobNamespace", "controller.workers is str"]
    for job in JOBS:
        manifest = read(job)
        assert manifest["metadata"]["namespace"] in values["spark"]["jobNamespaces"]
        account = manifest["spec"]["driver"]["serviceAccount"]
        assert account == values["spark"]["serviceAccount"]["name"]
