{{- define "megalith.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "megalith.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "megalith.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "megalith.fleetKeySecret" -}}
{{- default (printf "%s-fleet-key" (include "megalith.fullname" .)) .Values.fleetKeySecret }}
{{- end }}

{{- /* Every service: the block in values, the process, what it needs. */ -}}
{{- define "megalith.services" -}}
trace: {process: trace, binary: megalith-trace, name: trace}
cache: {process: cache, binary: megalith-cache, name: cache, disk: true}
compile: {process: compile, binary: megalith-compile, name: compile, key: true}
execute: {process: execute, binary: megalith-execute, name: execute, key: true}
parameterServer: {process: parameter_server, binary: megalith-parameter-server, name: parameter-server, disk: true, shards: true}
agent: {process: agent, binary: megalith-agent, name: agent, conf: true}
{{- end }}

{{- define "megalith.selector" -}}
app.kubernetes.io/name: megalith
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .spec.name }}
{{- end }}

{{- define "megalith.labels" -}}
{{ include "megalith.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "megalith.pod" -}}
{{- $root := .root }}{{ $spec := .spec }}{{ $block := .block }}
metadata:
  labels:
    {{- include "megalith.labels" . | nindent 4 }}
  annotations:
    checksum/fleet: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
    {{- with $block.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "megalith.serviceAccountName" $root }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ $block.terminationGracePeriodSeconds }}
  securityContext: {{ toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $block.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $block.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $block.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $block.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $spec.name }}
      image: "{{ $root.Values.image.repository }}:{{ default $root.Chart.AppVersion $root.Values.image.tag }}"
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext: {{ toYaml $root.Values.securityContext | nindent 8 }}
      {{- if $spec.shards }}
      # The shard is the pod's ordinal.
      command: ["/bin/sh", "-c", "exec {{ $spec.binary }} --shard=${HOSTNAME##*-} \"$@\"", "{{ $spec.binary }}"]
      {{- else }}
      command: [{{ $spec.binary }}]
      {{- end }}
      args:
        - --listen=0.0.0.0:7000
        - --metrics_listen=0.0.0.0:9100
        - --discovery_file=/etc/megalith/fleet.conf
        {{- if $spec.conf }}
        - --conf=/etc/megalith/agent.conf
        - --model_server=none
        {{- end }}
        {{- if $spec.disk }}
        - --data_dir=/var/lib/megalith
        {{- end }}
        {{- if $spec.shards }}
        - --shards={{ $block.replicas }}
        {{- if $block.checkpointClaim }}
        - --checkpoint_dir=/checkpoints
        {{- end }}
        {{- end }}
        {{- if $spec.key }}
        - --fleet_key_file=/etc/megalith-key/fleet.key
        {{- end }}
        {{- if $root.Values.tls.secret }}
        - --tls_certificate_file=/etc/megalith-tls/tls.crt
        - --tls_key_file=/etc/megalith-tls/tls.key
        {{- if $root.Values.tls.requireClientCertificate }}
        - --tls_client_ca_file=/etc/megalith-tls/ca.crt
        - --client_certificate_file=/etc/megalith-tls/tls.crt
        - --client_key_file=/etc/megalith-tls/tls.key
        {{- end }}
        - --client_ca_file=/etc/megalith-tls/ca.crt
        {{- end }}
        {{- range $name, $value := merge (dict) $block.flags $root.Values.flags }}
        - {{ printf "--%s=%v" $name $value | quote }}
        {{- end }}
      {{- if or $spec.conf $block.env }}
      env:
        {{- if $spec.conf }}
        - {name: MY_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: MY_HOST_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: PORT2, value: "7000"}
        {{- end }}
        {{- with $block.env }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- end }}
      ports:
        - {name: grpc, containerPort: 7000}
        - {name: metrics, containerPort: 9100}
      # Without TLS the kubelet asks gRPC health itself; it speaks no TLS.
      startupProbe:
        {{- include "megalith.probe" $root | nindent 8 }}
        periodSeconds: 2
        failureThreshold: 300
      readinessProbe:
        {{- include "megalith.probe" $root | nindent 8 }}
        periodSeconds: 5
      livenessProbe:
        tcpSocket: {port: grpc}
        periodSeconds: 10
        failureThreshold: 6
      resources: {{ toYaml $block.resources | nindent 8 }}
      volumeMounts:
        - {name: fleet, mountPath: /etc/megalith, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if $spec.disk }}
        - {name: data, mountPath: /var/lib/megalith}
        {{- end }}
        {{- if and $spec.shards $block.checkpointClaim }}
        - {name: checkpoints, mountPath: /checkpoints}
        {{- end }}
        {{- if $spec.key }}
        - {name: key, mountPath: /etc/megalith-key, readOnly: true}
        {{- end }}
        {{- if $root.Values.tls.secret }}
        - {name: tls, mountPath: /etc/megalith-tls, readOnly: true}
        {{- end }}
    {{- with $block.modelServers }}{{ toYaml . | nindent 4 }}{{ end }}
  volumes:
    {{- with $block.volumes }}{{ toYaml . | nindent 4 }}{{ end }}
    - name: fleet
      configMap: {name: {{ include "megalith.fullname" $root }}}
    - name: tmp
      emptyDir: {}
    {{- if and $spec.shards $block.checkpointClaim }}
    - name: checkpoints
      persistentVolumeClaim: {claimName: {{ $block.checkpointClaim }}}
    {{- end }}
    {{- if $spec.key }}
    - name: key
      secret: {secretName: {{ include "megalith.fleetKeySecret" $root }}, defaultMode: 0440}
    {{- end }}
    {{- if $root.Values.tls.secret }}
    - name: tls
      secret: {secretName: {{ $root.Values.tls.secret }}, defaultMode: 0440}
    {{- end }}
{{- end }}

{{- define "megalith.probe" -}}
{{- if .Values.tls.secret -}}
tcpSocket: {port: grpc}
{{- else -}}
grpc: {port: 7000}
{{- end }}
{{- end }}
