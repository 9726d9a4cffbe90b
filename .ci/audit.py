"""Are there known vulnerabilities in what `requirements-dev.lock` pins?

    python .ci/audit.py requirements-dev.lock

pip-audit says "No known vulnerabilities found" also where it could look up none of them. This
tells three things apart: vulnerable (exit status 1), looked up and fine (0), and not looked
up, because the service cannot be reached or knows none of it (0, and said aloud; 1 with
`--must-reach`). `pip install pip-audit` first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("--must-reach", action="store_true", help="not looked up is a failure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "audit.json")
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(args.lock), "--disable-pip",
            "--require-hashes", "--progress-spinner", "off", "--format", "json", "--output",
            str(report),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        content = report.read_text() if report.is_file() else ""
    packages = json.loads(content)["dependencies"] if content else []
    known = [package for package in packages if "skip_reason" not in package]
    bad = [package for package in known if package["vulns"]]
    for package in bad:
        names = ", ".join(one["id"] for one in package["vulns"])
        print(f"vulnerable: {package['name']} {package['version']}: {names}")
    print(f"{len(known)} of {len(packages)} packages looked up, {len(bad)} vulnerable")
    if bad:
        return 1
    if packages and len(known) == len(packages):
        return 0
    why = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
    if known or packages:
        why = f"the service does not know {len(packages) - len(known)} of them"
    print(f"NOT CHECKED: {why}", file=sys.stderr)
    return 1 if args.must_reach else 0


if __name__ == "__main__":
    sys.exit(main())
