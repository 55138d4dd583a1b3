"""Export a trained model for other runtimes, or a dataset as TFRecord files for tf.data.

python jobs/export.py --config conf/local.yaml --format savedmodel --output out/demo/savedmodel
python jobs/export.py --config conf/local.yaml --output out/demo/tfrecord
spark-submit --py-files dist/halftone.zip jobs/export.py --config conf/faces.yaml --output gs://B/P
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

import argparse

from halftone import cli, config, job_start, logs
from halftone.export import command
from halftone.lineage.job_run import report_job


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML file of settings")
    command.add_flags(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting; may be repeated",
    )
    logs.add_arguments(parser)
    args = parser.parse_args()

    def job() -> None:
        logs.configure(args)
        paths = {"dataset": args.dataset, "model": args.model}
        settings = config.load_config(args.config, args.set, paths)
        job_start.apply_settings(settings)
        inputs, outputs = command.list_inputs(settings, args), {"export": args.output}
        with report_job(settings.name, "export", inputs, outputs):
            print(command.run_export(settings, args))

    return cli.run_with_exit_code(job)


if __name__ == "__main__":
    job_process.leave(main())
