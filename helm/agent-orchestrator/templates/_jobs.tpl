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
Annotations of a hook. Helm leaves hooks alone when a release is uninstalled, so nothing of them may stay: one that fails
is removed too, after Helm has printed its log. Takes {hook, weight}.
*/}}
{{- define "agents.hook" -}}
helm.sh/hook: {{ .hook | quote }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
helm.sh/hook-output-log-policy: hook-failed
{{- end -}}

{{/*
Annotations of what the jobs need: it is there whenever a hook runs, and removed after it. Before an installation
nothing else exists, and before an upgrade only what the previous revision had. Where Helm was interrupted it is removed
when the release is uninstalled: without its account a job starts no more pods. Takes {root}.
*/}}
{{- define "agents.besideHooks" -}}
{{- include "agents.hook" (dict "hook" "pre-install,pre-upgrade,post-install,post-upgrade,post-rollback,post-delete" "weight" "-20") -}}
{{- end -}}

{{/*
A job that runs `orchestrator` once. Takes {root, name, args, hook, weight}, and `agents` (the name of a ConfigMap) for
the job that applies agents.
*/}}
{{- define "agents.job" -}}
{{- $jobs := .root.Values.jobs -}}
{{- $spec := include "agents.jobSpec" . -}}
{{- $name := include "agents.jobName" (dict "root" .root "name" .name "spec" $spec) -}}
{{- $hook := ternary (include "agents.hook" . | fromYaml) dict $jobs.hooks -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "agents.metadata" (dict "root" .root "name" $name "component" .name "annotations" (merge (dict) $jobs.annotations $hook)) | nindent 2 }}
spec:
  {{- $spec | nindent 2 }}
{{- end -}}

{{- define "agents.jobSpec" -}}
{{- $values := .root.Values -}}
{{- $jobs := $values.jobs -}}
{{- $noted := dict -}}
{{- if .agents -}}
{{- $_ := set $noted "checksum/agents" (toYaml $values.agents.files | sha256sum) -}}
{{- end -}}
backoffLimit: {{ int $jobs.backoffLimit }}
activeDeadlineSeconds: {{ int $jobs.activeDeadlineSeconds }}
{{- if $jobs.hooks }}
ttlSecondsAfterFinished: {{ int $jobs.ttlSecondsAfterFinished }}
{{- end }}
template:
  metadata:
    labels:
      {{- include "agents.podLabels" (dict "root" .root "component" .name) | nindent 6 }}
    {{- with include "agents.texts" (list $values.commonAnnotations $noted $values.podAnnotations) }}
    annotations:
      {{- . | nindent 6 }}
    {{- end }}
  spec:
    {{- include "agents.podBasics" (dict "root" .root "account" (include "agents.jobAccountName" .root)) | nindent 4 }}
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
      {{- include "agents.commonVolumes" (dict "root" .root "service" $jobs) | nindent 6 }}
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
{{- $jobs := $values.jobs -}}
image: {{ include "agents.image" (dict "root" .root "image" $jobs.image) | quote }}
imagePullPolicy: {{ default $values.image.pullPolicy $jobs.image.pullPolicy | quote }}
command: [orchestrator]
args:
  {{- range .args }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- $platform := include "agents.installationEnv" (dict "root" .root "service" $jobs) | fromYamlArray }}
  {{- include "agents.distinct" (concat $platform $values.extraEnv $jobs.extraEnv) | nindent 2 }}
{{- with concat $values.extraEnvFrom $jobs.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml $jobs.resources | nindent 2 }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
volumeMounts:
  {{- include "agents.commonMounts" (dict "root" .root "service" $jobs) | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
