from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halftone import config
from halftone.config import ConfigError

CONF = Path(__file__).parents[2] / "conf"


def write(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def error_message(path: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load_config(path, overrides)
    return str(caught.value).replace(path, "run.yaml")


def test_a_file_needs_only_settings_that_differ_from_the_defaults(tmp_path: Path) -> None:
    loaded = config.load_config(write(tmp_path, "train: {epochs: 3}\n"))
    assert loaded.train.epochs == 3
    assert loaded.train.batch_size == 64
    assert loaded.pixels.height_px == 64


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert config.load_config(write(tmp_path, "")) == config.Config()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.Config().seed = 1  # type: ignore[misc]


def test_overrides_replace_settings_and_paths_replace_both(tmp_path: Path) -> None:
    path = write(tmp_path, "paths: {images: a, dataset: b}\ntrain: {epochs: 3, batch_size: 8}\n")
    loaded = config.load_config(
        path, ["train.epochs=5", "paths.images=c"], {"images": "d", "model": None}
    )
    assert (loaded.train.epochs, loaded.train.batch_size) == (5, 8)
    assert (loaded.paths.images, loaded.paths.dataset, loaded.paths.model) == ("d", "b", None)


def test_a_path_is_not_parsed_as_yaml(tmp_path: Path) -> None:
    loaded = config.load_config(write(tmp_path, ""), (), {"images": "/a: b #c"})
    assert loaded.paths.images == "/a: b #c"


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", "off"), ('"off"', "off"), ("drop", "drop")],
)
def test_off_is_text_where_it_is_a_choice(tmp_path: Path, text: str, value: str) -> None:
    path = write(tmp_path, f"preprocess: {{near_duplicates: {text}}}")
    assert config.load_config(path).preprocess.near_duplicates == value
    overridden = config.load_config(
        write(tmp_path, ""), [f"preprocess.near_duplicates={text}", "name=yes"]
    )
    assert (overridden.preprocess.near_duplicates, overridden.name) == (value, "yes")


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", False), ("No", False), ("false", False), ("ON", True), ("yes", True), ("true", True)],
)
def test_switch_where_a_boolean_is_wanted(tmp_path: Path, text: str, value: bool) -> None:
    loaded = config.load_config(
        write(
            tmp_path,
            f"train: {{shuffle: {text}, model: {{name: convnet, batch_norm: {text}}}}}\n"
            f"storage: {{options: {{s3: {{anon: {text}, client_kwargs: {{verify: {text}}}}}}}}}\n",
        )
    )
    assert isinstance(loaded.train.model, config.Convnet)
    assert (loaded.train.shuffle, loaded.train.model.batch_norm) == (value, value)
    assert loaded.storage.options["s3"] == {"anon": value, "client_kwargs": {"verify": value}}


def test_conf_of_spark_is_text_with_dots_in_its_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "spark: {conf: {spark.a: 5, spark.b: true, spark.c: off}}")
    overrides = ["spark.conf.spark.ui.enabled=true", "spark.conf.spark.b=0.5", "spark.master=yarn"]
    loaded = config.load_config(path, overrides)
    assert loaded.spark.conf == {
        "spark.a": "5", "spark.b": "0.5", "spark.c": "off", "spark.ui.enabled": "true",
    }  # fmt: skip
    overrides = ["storage.options.s3.client_kwargs.region_name=eu", "storage.options.s3.anon=true"]
    assert config.load_config(path, overrides).storage.options == {
        "s3": {"client_kwargs": {"region_name": "eu"}, "anon": True}
    }


def test_network_without_a_name_is_of_the_default_family(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    loaded = config.load_config(path, ["train.model.filters=[8]"])
    assert loaded.train.model == config.Convnet(filters=(8,))
    named = config.load_config(path, ["train.model.hidden=[8]", "train.model.name=mlp"])
    assert named.train.model == config.Mlp(hidden=(8,))


def test_ambiguous_number_in_an_override(tmp_path: Path) -> None:
    assert error_message(write(tmp_path, ""), "train.model.dense=[8, 010]") == (
        "--set train.model.dense=[8, 010]: 1 mistake\n"
        "  train.model.dense.1 = 010: readers of YAML take this for a decimal or an octal number; "
        'write 10 or 8, or "010" in quotes for a text'
    )


def test_lists_become_tuples(tmp_path: Path) -> None:
    path = write(tmp_path, "train: {model: {name: convnet, filters: [8, 16], kernels_px: [5, 3]}}")
    assert config.load_config(path).train.model == config.Convnet(
        filters=(8, 16), kernels_px=(5, 3)
    )
    path = write(tmp_path, "train: {model: {name: mlp, hidden: []}}")
    assert config.load_config(path).train.model == config.Mlp(hidden=())


MISTAKES = [
    (
        "epoch: 3",
        "epoch: unknown key; did you mean train.epochs? valid here: name, seed, paths, pixels, "
        "splits, preprocess, train, score, tracking, card, retrain, storage, monitoring, spark",
    ),
    (
        "pixels: {heigth_px: 3}",
        "pixels.heigth_px: unknown key; did you mean height_px? valid here: height_px, width_px, "
        "channels, fit, background, max_pixels, max_scans, min_side_px, encoding, jpeg_quality",
    ),
    (
        "train: {model: {name: mlp, hiden: [3]}}",
        "train.model.hiden: unknown key; did you mean hidden? valid here: name, hidden, dropout",
    ),
    (
        "pixels: {epochs: 3}",
        "pixels.epochs: unknown key; did you mean train.epochs? valid here: height_px, width_px, "
        "channels, fit, background, max_pixels, max_scans, min_side_px, encoding, jpeg_quality",
    ),
    (
        "train: {model: {name: mlp, filters: [3]}}",
        "train.model.filters: unknown key; it is one of name convnet or residual; valid here: "
        "name, hidden, dropout",
    ),
    (
        "train: {model: {filters: 16}}",
        "train.model.filters = 16: must be a list; write [16]",
    ),
    (
        "paths: {images: 's4://bucket/x'}",
        'paths.images = "s4://bucket/x": unknown scheme s4://; did you mean s3://? Known are '
        "s3://, gs://, abfs:// and hdfs://",
    ),
    (
        "retrain: {folder: 'S3://bucket/x'}",
        'retrain.folder = "S3://bucket/x": unknown scheme S3://; did you mean s3://? Known are '
        "s3://, gs://, abfs:// and hdfs://",
    ),
    (
        "storage: {options: {s3: {endpoint_url: 'minio:9000'}}}",
        "storage: options.s3.endpoint_url is minio:9000, which is no URL; write "
        "https://minio:9000, or http://minio:9000 without encryption",
    ),
    (
        "storage: {options: {s3: {client_kwargs: {endpoint_url: minio}}}}",
        "storage: options.s3.client_kwargs.endpoint_url is minio, which is no URL; write "
        "https://minio, or http://minio without encryption",
    ),
    ("train: {epochs: many}", 'train.epochs = "many": must be a valid integer'),
    ("train: {epochs: 0}", "train.epochs = 0: must be greater than or equal to 1"),
    ("train: {epochs: 2.5}", "train.epochs = 2.5: must be a valid integer"),
    ("train: {learning_rate: .nan}", "train.learning_rate = NaN: must be a finite number"),
    ("seed: true", "seed = true: must be a valid integer"),
    ("pixels: {channels: 4}", "pixels.channels = 4: must be 1 or 3"),
    ("pixels: {fit: squash}", "pixels.fit = \"squash\": must be 'stretch', 'crop' or 'pad'"),
    ("pixels: {encoding: webp}", "pixels.encoding = \"webp\": must be 'raw', 'jpeg' or 'png'"),
    (
        "pixels: {encoding: png, jpeg_quality: 90}",
        "pixels: jpeg_quality is 90 and encoding is png, which has no quality; remove "
        "jpeg_quality, or set encoding: jpeg",
    ),
    (
        "pixels: {encoding: jpeg, jpeg_quality: 101}",
        "pixels.jpeg_quality = 101: must be less than or equal to 100",
    ),
    ("pixels: 64", "pixels = 64: must be an object"),
    (
        "train: {model: {name: resnet}}",
        "train.model: Input tag 'resnet' found using 'name' does not match any of the expected "
        "tags: 'convnet', 'mlp', 'residual', 'application', 'custom'",
    ),
    (
        "splits: {validation_fraction: 0.6, test_fraction: 0.5}",
        "splits: validation_fraction 0.6 + test_fraction 0.5 = 1.1 leaves nothing to train on; "
        "their sum must be below 1",
    ),
    (
        "splits: {stratify: always, folds: 3}",
        "splits: stratify is always and folds is 3: only images that are drawn by themselves can "
        "be stratified; set stratify: auto, or remove folds",
    ),
    (
        "splits: {stratify: always, group_by: '(.)/'}",
        "splits: stratify is always and group_by is '(.)/': only images that are drawn by "
        "themselves can be stratified; set stratify: auto, or remove group_by",
    ),
    (
        "splits: {stratify: always, from_path: '(.)/'}",
        "splits: stratify is always and from_path is '(.)/': only images that are drawn by "
        "themselves can be stratified; set stratify: auto, or remove from_path",
    ),
    (
        "splits: {stratify: some}",
        "splits.stratify = \"some\": must be 'auto', 'always' or 'never'",
    ),
    ("splits: {folds: 3, fold: 3}", "splits: fold 3 is not one of 3 folds; they count from 0"),
    (
        "splits: {group_by: '[a-z'}",
        'splits.group_by = "[a-z": not a regular expression: unterminated character set at '
        "position 0",
    ),
    (
        "preprocess: {label_from: '(a)(b)'}",
        'preprocess.label_from = "(a)(b)": must have exactly 1 group (...), has 2',
    ),
    (
        "preprocess: {rows_per_shard: 0}",
        "preprocess.rows_per_shard = 0: must be auto or a whole number from 1",
    ),
    (
        "train: {batch_size: 100, ranks: 8}",
        "train: batch_size 100 is not divisible by the 8 ranks; use 96 or 104",
    ),
    (
        "train: {batch_size: 3, ranks: 8}",
        "train: batch_size 3 is not divisible by the 8 ranks; use 8",
    ),
    (
        "train: {decay: cosine, warmup_epochs: 2, epochs: 2}",
        "train: warmup_epochs 2 of 2 epochs leave none for decay cosine; use fewer",
    ),
    (
        "train: {launcher: process, ranks: 2}",
        "train: launcher process runs 1 rank, ranks is 2; use launcher auto, horovodrun or spark",
    ),
    (
        "train: {model: {name: convnet, filters: [8, 8], kernels_px: [3, 3, 3]}}",
        "train.model: kernels_px has 3 values for 2 filters; give 1 or 2",
    ),
]


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"catalogue": "jdbc:h2:x"}, "catalogue is the database jdbc:h2:x and catalogue_query is "
         "missing; set it to the SELECT whose rows are the images, such as SELECT path, label FROM "
         "images"),
        ({"catalogue_query": "SELECT 1", "catalogue": "a.csv"}, "catalogue_query is set and "
         "catalogue is no database; set catalogue to its URL, such as "
         "jdbc:postgresql://HOST/DATABASE, or remove catalogue_query"),
        *(
            ({"catalogue": f"jdbc:{url}", "catalogue_query": "SELECT 1"}, "catalogue contains a "
             "password, which would be written to manifests and logs; remove it, and set "
             "HALFTONE_JDBC_USER and HALFTONE_JDBC_PASSWORD in the environment")
            for url in ("postgresql://h/d?user=a&Password=b", "mysql://a:b@h/d", "x:y;pwd = b")
        ),
    ],
)  # fmt: skip
def test_a_database_has_a_query_and_no_password(settings: dict[str, str], mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping({"preprocess": settings}, source="test")
    assert str(caught.value) == f"test: 1 mistake\n  preprocess: {mistake}"


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("agent", "x", "options.web.agent is unknown; valid are user_agent, timeout_secs, retries, "
         "requests_per_host, ignore_robots"),
        ("retries", -1, "options.web.retries is -1; it must be a whole number from 0"),
        ("retries", True, "options.web.retries is True; it must be a whole number from 0"),
        ("timeout_secs", "20", "options.web.timeout_secs is '20'; it must be a number of seconds "
         "from 0.1"),
        ("requests_per_host", 0, "options.web.requests_per_host is 0; it must be a whole number "
         "from 1"),
        ("ignore_robots", 1, "options.web.ignore_robots is 1; it must be true or false"),
    ],
)  # fmt: skip
def test_an_option_of_the_web_is_checked(name: str, value: object, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping({"storage": {"options": {"web": {name: value}}}}, source="test")
    assert str(caught.value).endswith(mistake)
    options = {"timeout_secs": 5, "ignore_robots": True, "user_agent": "me", "retries": 0}
    made = config.config_from_mapping({"storage": {"options": {"web": options}}}, source="test")
    assert made.storage.options["web"] == options


def test_a_database_may_have_a_port_and_a_user() -> None:
    settings = {"catalogue": "jdbc:postgresql://h:5432/d?user=a", "catalogue_query": "SELECT 1"}
    made = config.config_from_mapping({"preprocess": settings}, source="test")
    assert made.preprocess.catalogue == "jdbc:postgresql://h:5432/d?user=a"


@pytest.mark.parametrize(("text", "mistake"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_reported_with_file_key_value_and_valid_choices(
    tmp_path: Path, text: str, mistake: str
) -> None:
    assert error_message(write(tmp_path, text)) == f"run.yaml: 1 mistake\n  {mistake}"


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = error_message(write(tmp_path, "seed: -1\ntrain: {epochs: 0}"))
    assert text == (
        "run.yaml: 2 mistakes\n"
        "  seed = -1: must be greater than or equal to 0\n"
        "  train.epochs = 0: must be greater than or equal to 1"
    )


@pytest.mark.parametrize(
    "url",
    [
        *("data/x", "/data/x", "models:/faces/3", "runs:/1/model", "file:///x", "memory://x"),
        *("s3://b/x", "s3a://b/x", "gs://b/x", "abfs://b@a/x", "abfss://b@a/x", "hdfs://n/x"),
        *("dbfs:/x", "webhdfs://n/x", "https://host/x", "C:/x"),
    ],
)
def test_path_or_url_with_a_known_scheme(url: str) -> None:
    assert config.Config(paths={"model": url}).paths.model == url


def test_a_flag_with_an_unknown_scheme(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    with pytest.raises(ConfigError) as caught:
        config.load_config(path, (), {"images": "gss://b/x"})
    assert str(caught.value) == (
        'the command line: 1 mistake\n  paths.images = "gss://b/x": unknown scheme gss://; did you '
        "mean gs://? Known are s3://, gs://, abfs:// and hdfs://"
    )


def test_an_experiment_is_no_config() -> None:
    path = str(CONF / "experiments" / "best-faces.yaml")
    assert error_message(path) == (
        "run.yaml: is an experiment and no config; run it with jobs/experiment.py --config run.yaml"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot read the config: No such file"):
        config.load_config(str(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize("override", ["train.epochs", "=3", ""])
def test_an_override_must_be_key_and_value(tmp_path: Path, override: str) -> None:
    message = error_message(write(tmp_path, ""), override)
    assert message == f"--set {override}: must be KEY=VALUE, such as train.epochs=3"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.epochs=abc"],
            '--set train.epochs=abc: 1 mistake\n  train.epochs = "abc": must be a valid integer',
        ),
        (
            ["epochs=3"],
            "--set epochs=3: 1 mistake\n  epochs: unknown key; did you mean train.epochs? valid "
            "here: name, seed, paths, pixels, splits, preprocess, train, score, tracking, card, "
            "retrain, storage, monitoring, spark",
        ),
        (
            ["train.model.filters=16,32"],
            "--set train.model.filters=16,32: 1 mistake\n"
            '  train.model.filters = "16,32": must be a list; write [16, 32]',
        ),
        (
            ["train.model.dense_dropout=0.1, 0.2"],
            "--set train.model.dense_dropout=0.1, 0.2: 1 mistake\n"
            '  train.model.dense_dropout = "0.1, 0.2": must be a valid number; write [0.1, 0.2]',
        ),
        (
            ["train.epochs=1,2"],
            '--set train.epochs=1,2: 1 mistake\n  train.epochs = "1,2": must be a valid integer',
        ),
        (
            ["train.ranks=5", "train.epochs=4"],
            "run.yaml with --set train.ranks=5, --set train.epochs=4: 1 mistake\n"
            "  train: batch_size 64 is not divisible by the 5 ranks; use 60 or 65",
        ),
        (
            ["train.model.name=mlp"],
            "run.yaml with --set train.model.name=mlp: 1 mistake\n"
            "  train.model.dense: unknown key; it is one of name convnet; valid here: name, "
            "hidden, dropout",
        ),
        (
            ["train.epochs=[3"],
            "--set train.epochs=[3: not YAML: line 1, column 3: expected ',' or ']', but got the "
            "end (while parsing a flow sequence from line 1)",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_names_the_override_that_it_comes_from(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    path = write(tmp_path, "train: {model: {dense: [8]}}")
    assert error_message(path, *overrides) == message


def test_mistakes_are_grouped_by_where_they_come_from(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: -1\ntrain: {epochs: many}")
    # That of the file is not seen behind the two overrides, of which the last one counts.
    message = error_message(path, "train.epochs=2.5", "train.epochs=0")
    assert message == (
        "run.yaml: 1 mistake\n"
        "  seed = -1: must be greater than or equal to 0\n"
        "--set train.epochs=0: 1 mistake\n"
        "  train.epochs = 0: must be greater than or equal to 1"
    )


def test_require_path() -> None:
    assert config.require_path("a", "images", "--input") == "a"
    with pytest.raises(ConfigError) as caught:
        config.require_path(None, "images", "--input")
    assert str(caught.value) == (
        "paths.images is not set; give it in the config file or as --input URL"
    )


@pytest.mark.parametrize(
    ("settings", "side_px", "mistake"),
    [
        (
            {"filters": (8, 8, 8), "kernels_px": (3, 3, 9)},
            16,
            "convolution 3 needs 9 px and gets 2",
        ),
        ({"filters": (8, 8)}, 5, "convolution 2 needs 3 px and gets 1"),
        (
            {"filters": (8,) * 5, "padding": "same"},
            16,
            "the pooling after convolution 5 needs 2 px and gets 1",
        ),
    ],
    ids=["valid, 2 px after two layers", "valid, too small", "same, 4 px after two layers"],
)
def test_side_of_a_feature_map_after_convolutions(
    settings: dict[str, Any], side_px: int, mistake: str
) -> None:
    with pytest.raises(ConfigError, match=mistake):
        config.Convnet(**settings).check_image_size(side_px, side_px)


@pytest.mark.parametrize(("padding", "side_px"), [("valid", 16), ("same", 16), ("valid", 10)])
def test_images_large_enough_for_the_convolutions(padding: Any, side_px: int) -> None:
    config.Convnet(filters=(8, 8), padding=padding).check_image_size(side_px, side_px)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_config_is_valid_and_begins_with_its_command(path: Path) -> None:
    assert config.load_config(str(path)).name == path.stem.replace("local", "demo")
    comment = path.read_text(encoding="utf-8").split("name:")[0]
    assert f"python jobs/preprocess.py --config conf/{path.name}" in comment
