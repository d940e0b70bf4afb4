#!/bin/bash
# Lints the chart, renders it with several values, and holds what comes out against Kubernetes' schemas.
# Needs helm on PATH; kubernetes-validate comes from PyPI into a virtual environment under build/.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v helm > /dev/null || { echo "helm-test: there is no helm on PATH" >&2; exit 1; }
python=build/helm-venv/bin/python
[ -x "$python" ] || python3 -m venv build/helm-venv
"$python" -c 'import kubernetes_validate' 2> /dev/null || "$python" -m pip install -q kubernetes-validate==1.37.0
chart=helm/megalith
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

helm lint --strict --kube-version 1.37.0 "$chart"
for version in 1.25 1.28 1.31 1.34 1.37; do
  render() { helm template fleet "$chart" --namespace test --kube-version "$version.0" "${@:2}" > "$out/$1.yaml" 2> "$out/err" ||
    { cat "$out/err" >&2; exit 1; }; }
  render defaults
  render everything --set monitoring.enabled=true,networkPolicy.enabled=true,tls.secret=cert \
    --set tls.requireClientCertificate=true,parameterServer.replicas=3,parameterServer.checkpointClaim=shared \
    --set parameterServer.persistence.storageClass=fast,image.tag=test,imagePullSecrets[0].name=pull \
    --set execute.nodeSelector.disk=ssd,execute.flags.threads=8,trace.service.type=LoadBalancer
  render agent --set agent.enabled=true,agent.config.bzid=prod,agent.replicas=2 \
    --set 'agent.modelServers[0].name=entry,agent.modelServers[0].image=megalith' \
    --set 'agent.volumes[0].name=models,agent.volumes[0].emptyDir.medium=Memory'
  render little --set cache.enabled=false,compile.enabled=false,execute.enabled=false,parameterServer.enabled=false
  for rendered in "$out"/*.yaml; do
    # Resources of the Prometheus operator are not Kubernetes' own.
    "$python" - "$rendered" > "$out/own" <<'END'
import sys, yaml
own = [d for d in yaml.safe_load_all(open(sys.argv[1])) if d and not d["apiVersion"].startswith("monitoring.")]
assert own, "nothing was rendered"
yaml.safe_dump_all(own, sys.stdout)
END
    build/helm-venv/bin/kubernetes-validate --strict --quiet -k "$version" "$out/own"
  done
done

# Every shard is found by name, and knows how many there are.
grep -q 'parameter_server_2 = fleet-megalith-parameter-server-2.fleet-megalith-parameter-server-pods:7000' "$out/everything.yaml"
grep -q -- '--shards=3' "$out/everything.yaml"
# The agent has its file and knows its pod.
grep -q 'bzid = prod' "$out/agent.yaml"
grep -q -- '--conf=/etc/megalith/agent.conf' "$out/agent.yaml"
grep -q 'fieldPath: status.podIP' "$out/agent.yaml"
if helm template fleet "$chart" --kube-version 1.37.0 --set trace.replicas=many > /dev/null 2>&1; then
  echo "helm-test: a number of replicas that is no number was rendered" >&2
  exit 1
fi
echo "helm-test: all is well"
