"""Retrain on new images, compare with the champion, promote or keep, and notify; for schedulers.

python jobs/retrain.py --config conf/retrain.yaml
spark-submit --py-files dist/halftone.zip jobs/retrain.py --config conf/retrain.yaml

Exit codes: 0 success, 2 wrong config or input, 3 refused (retrain.fail_on_refusal), 4 another call
is running, 5 failed and may be tried again, 130 interrupted, 143 stopped by SIGTERM. The last line
of the output is the outcome as JSON.
"""

try:
    from halftone.commands.script import run_script
except ModuleNotFoundError:  # not the Python of ./build.sh setup, or no --py-files
    import os
    import shlex
    import sys

    root = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
    python = os.path.join(root, ".venv", "bin", "python")
    setup = "" if os.path.exists(python) else os.path.join(root, "build.sh") + " setup, and then "
    print(
        f"error: {sys.executable} does not have Halftone; run: {setup}"
        f"{shlex.join([python, *sys.argv])}\n"
        "  With spark-submit, add --py-files dist/halftone.zip, which ./build.sh package makes.",
        file=sys.stderr,
    )
    sys.exit(2)

if __name__ == "__main__":
    run_script("retrain", __doc__)
