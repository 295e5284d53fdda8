{{/*
Name of a job. A hook is created again each time. An ordinary job cannot be changed, so it gets another name with every
chart version and revision, and with other settings where the revision stays the same (as under Argo CD).
Takes {root, name, spec}.
*/}}
{{- define "agents.jobName" -}}
{{- $full := include "agents.fullname" .root -}}
{{- if .root.Values.jobs.hooks -}}
{{ $full }}-{{ .name }}
{{- else -}}
{{- $version := .root.Chart.Version | replace "." "-" | replace "+" "-" | lower | trunc 14 | trimSuffix "-" -}}
{{ $full | trunc 26 | trimSuffix "-" }}-{{ .name }}-{{ $version }}-{{ .root.Release.Revision }}-{{ sha256sum .spec | trunc 5 }}
{{- end -}}
{{- end -}}

{{/*
A job that runs `orchestrator` once. Takes {root, name, args, hook, weight}, and `agents` (the name of a ConfigMap)
for the job that applies agents.
*/}}
{{- define "agents.job" -}}
{{- $jobs := .root.Values.jobs -}}
{{- $spec := include "agents.jobSpec" . -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "agents.metadata" (dict "root" .root "name" (include "agents.jobName" (dict "root" .root "name" .name "spec" $spec)) "component" .name) | nindent 2 }}
  {{- if or $jobs.hooks $jobs.annotations }}
  annotations:
    {{- if $jobs.hooks }}
    helm.sh/hook: {{ .hook | quote }}
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    {{- end }}
    {{- with $jobs.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  {{- $spec | nindent 2 }}
{{- end -}}

{{- define "agents.jobSpec" -}}
{{- $values := .root.Values -}}
{{- $jobs := $values.jobs -}}
backoffLimit: {{ int $jobs.backoffLimit }}
activeDeadlineSeconds: {{ int $jobs.activeDeadlineSeconds }}
template:
  metadata:
    labels:
      {{- include "agents.selector" (dict "root" .root "component" .name) | nindent 6 }}
      {{- range $key, $value := $values.podLabels }}
      {{ $key }}: {{ $value | quote }}
      {{- end }}
    {{- if or .agents $values.podAnnotations }}
    annotations:
      {{- if .agents }}
      checksum/agents: {{ toYaml $values.agents.files | sha256sum | quote }}
      {{- end }}
      {{- range $key, $value := $values.podAnnotations }}
      {{ $key }}: {{ $value | quote }}
      {{- end }}
    {{- end }}
  spec:
    {{- include "agents.podBasics" (dict "root" .root "account" $jobs.serviceAccountName) | nindent 4 }}
    restartPolicy: Never
    {{- with include "agents.placement" (dict "root" .root "service" dict) }}
    {{- . | nindent 4 }}
    {{- end }}
    containers:
      - name: {{ .name | quote }}
        {{- include "agents.once" . | nindent 8 }}
          {{- if .agents }}
          - name: agents
            mountPath: /etc/orchestrator/agents
            readOnly: true
          {{- end }}
    volumes:
      {{- include "agents.commonVolumes" . | nindent 6 }}
      {{- with $values.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with .agents }}
      - name: agents
        configMap: {name: {{ . | quote }}}
      {{- end }}
{{- end -}}

{{/* A container that runs one command to completion. Its mounts come last, so that more can follow. Takes {root, args}. */}}
{{- define "agents.once" -}}
{{- $values := .root.Values -}}
image: {{ include "agents.image" (dict "root" .root) | quote }}
imagePullPolicy: {{ $values.image.pullPolicy | quote }}
command: [orchestrator]
args:
  {{- range .args }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- $platform := include "agents.installationEnv" .root | fromYamlArray }}
  {{- include "agents.distinct" (concat $platform $values.extraEnv) | nindent 2 }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml $values.jobs.resources | nindent 2 }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
volumeMounts:
  {{- include "agents.commonMounts" . | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
