#!/usr/bin/env python3
"""Whether what deploy/, helm/ and docker-compose.yml say of the fleet is true of this tree.

    check_deploy.py SOURCE_DIR PROMTOOL

Metrics that alerts and boards name exist, every process has its container, chart block, scrape target and board, flags
that are passed are flags of that process, and promtool accepts rules and their tests. Standard library only.
"""

import json
import pathlib
import re
import subprocess
import sys

root, promtool = pathlib.Path(sys.argv[1]), sys.argv[2]
failures = []


def check(condition, message):
    if not condition:
        failures.append(message)


def read(path):
    return (root / path).read_text()


# docs/events.md and docs/config.md are generated from the tables in the code, and tests compare them.
metrics = set(re.findall(r"^\| `(megalith_\w+)` \|", read("docs/events.md"), re.M))
flags = {}
for section in re.split(r"^## ", read("docs/config.md"), flags=re.M)[1:]:
    name = section.split("\n", 1)[0].strip()
    flags[name] = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
check(len(metrics) > 20 and len(flags) > 4, "docs/events.md or docs/config.md has another form than this test reads")

for path in ("deploy/prometheus/alerts.yml", "deploy/prometheus/alerts_test.yml", "deploy/grafana/megalith.json"):
    for name in set(re.findall(r"\bmegalith_\w+", read(path))):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        check(name in metrics or base in metrics, f"{path}: there is no metric {name}")

board = json.loads(read("deploy/grafana/megalith.json"))
rows = {panel["title"] for panel in board["panels"] if panel["type"] == "row"}
ids = [panel["id"] for panel in board["panels"]]
check(len(ids) == len(set(ids)), "deploy/grafana/megalith.json: two panels have one id")

binaries = re.search(r"set\(MEGALITH_FLEET_BINARIES ([^)]*)\)", read("cmake/Install.cmake")).group(1).split()
# What is run by hand serves nothing.
tools = {"megalith-agent-tools"}
processes = [b.removeprefix("megalith-") for b in binaries if b.startswith("megalith-") and b not in tools]
compose, scrape = read("docker-compose.yml"), read("deploy/prometheus/prometheus.yml")
helpers, values = read("helm/megalith/templates/_helpers.tpl"), read("helm/megalith/values.yaml")
for process in processes:
    name = process.replace("-", "_")
    check(name in flags, f"docs/config.md: nothing of {name}")
    check(f"\n  {process}:\n" in compose, f"docker-compose.yml: no service {process}")
    check(f'"{process}:9100"' in scrape, f"deploy/prometheus/prometheus.yml: {process} is not scraped")
    check(process.replace("-", " ") in rows, f"deploy/grafana/megalith.json: no row of {process}")
    block = re.search(rf"^(\w+): {{process: {name}, binary: megalith-{process},", helpers, re.M)
    check(block is not None, f"helm/megalith: no service {process}")
    check(block is None or re.search(rf"^{block.group(1)}:$", values, re.M), f"helm/megalith/values.yaml: no block of {process}")
    command = re.search(rf'"megalith-{process}",([^\]]*)\]', compose)
    for flag in re.findall(r'"--(\w+)=', command.group(1) if command else ""):
        check(flag in flags[name], f"docker-compose.yml: {process} has no flag {flag}")
for flag in set(re.findall(r"- --(\w+)=", helpers)):
    check(any(flag in known for known in flags.values()), f"helm/megalith: no process has a flag {flag}")

for arguments in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
    ran = subprocess.run([promtool, *arguments], cwd=root / "deploy/prometheus", capture_output=True, text=True, check=False)
    check(ran.returncode == 0, f"promtool {' '.join(arguments)}:\n{ran.stdout}{ran.stderr}")
check((root / "helm/megalith/alerts.yml").read_text() == read("deploy/prometheus/alerts.yml"),
      "helm/megalith/alerts.yml is not deploy/prometheus/alerts.yml")

for failure in failures:
    print(failure)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
