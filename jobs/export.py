"""Convert a dataset to TFRecord files, for tf.data on a TPU.

python jobs/export.py --config conf/local.yaml --output out/demo/tfrecord
spark-submit --py-files dist/halftone.zip jobs/export.py --config conf/faces.yaml --output gs://B/P
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

import argparse
from contextlib import ExitStack
from functools import partial

from halftone import cli, config
from halftone.export import tfrecord
from halftone.lineage.job_run import report_job
from halftone.spark.session import spark_session
from halftone.storage import clients


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML file of settings")
    parser.add_argument("--dataset", metavar="URL", help="overrides paths.dataset")
    parser.add_argument("--output", required=True, metavar="URL", help="folder of the new files")
    parser.add_argument("--gzip", action="store_const", const="GZIP", help="compress the files")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting; may be repeated",
    )
    args = parser.parse_args()

    def job() -> None:
        settings = config.load_config(args.config, args.set, {"dataset": args.dataset})
        clients.set_options(settings.storage.options)
        dataset = config.require_path(settings.paths.dataset, "dataset", "--dataset")
        with ExitStack() as stack:
            session = partial(
                stack.enter_context, spark_session(f"{settings.name}: export", settings.spark)
            )
            urls = {"dataset": dataset}, {"export": args.output}
            stack.enter_context(report_job(settings.name, "export", *urls))
            result = tfrecord.export_dataset(dataset, args.output, args.gzip or "", session)
        print(tfrecord.format_summary(result, args.output))

    return cli.run_with_exit_code(job)


if __name__ == "__main__":
    job_process.leave(main())
