"""Convert raw images to a dataset.

python jobs/preprocess.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/preprocess.py --config conf/faces.yaml
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
    run_script("preprocess", __doc__)
