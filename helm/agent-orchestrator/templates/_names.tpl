{{/* Beginning of all names. 38 characters leave room for what a StatefulSet adds. */}}
{{- define "agents.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- default $name .Values.fullnameOverride | trunc 38 | trimSuffix "-" -}}
{{- end -}}

{{/*
One mapping of texts out of several: of a key that is in more than one, the last counts, so no key comes twice.
Takes a list of mappings. Empty if all are.
*/}}
{{- define "agents.texts" -}}
{{- $all := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- $_ := set $all $key (toString $value) -}}
{{- end -}}
{{- end -}}
{{- if $all -}}
{{- toYaml $all -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods. They never change. Takes {root, component}. */}}
{{- define "agents.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Labels of an object: the chart's, those of all objects, its own (`labels`). Takes {root, component, labels}. */}}
{{- define "agents.labels" -}}
{{- $chart := dict "app.kubernetes.io/version" .root.Chart.AppVersion "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63) -}}
{{- $selector := include "agents.selector" . | fromYaml -}}
{{- /* Without this label Helm refuses to change an object. */ -}}
{{- $owner := dict "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- include "agents.texts" (list $chart $selector .root.Values.commonLabels .labels $owner) -}}
{{- end -}}

{{/* Labels of a pod. Takes {root, component, labels}. */}}
{{- define "agents.podLabels" -}}
{{- $version := dict "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- include "agents.texts" (list $version .root.Values.commonLabels .root.Values.podLabels .labels (include "agents.selector" . | fromYaml)) -}}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object. Takes {root, name, component, namespace, labels, annotations}. */}}
{{- define "agents.metadata" -}}
name: {{ .name | quote }}
namespace: {{ default .root.Release.Namespace .namespace | quote }}
labels:
  {{- include "agents.labels" . | nindent 2 }}
{{- with include "agents.texts" (list .root.Values.commonAnnotations .annotations) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "agents.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "agents.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Account of pods that run tools, which is not the platform's. */}}
{{- define "agents.toolAccountName" -}}
{{- with .Values.toolPods.serviceAccount -}}
{{- if .create -}}
{{- default (printf "%s-tools" (include "agents.fullname" $)) .name -}}
{{- else -}}
{{- default "default" .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "agents.jobAccountName" -}}
{{- with .Values.jobs.serviceAccount -}}
{{- if .create -}}
{{- default (printf "%s-jobs" (include "agents.fullname" $)) .name -}}
{{- else -}}
{{- default "default" .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Account of one workload. Takes {root, name, service}. */}}
{{- define "agents.accountName" -}}
{{- if .service.serviceAccountName -}}
{{- .service.serviceAccountName -}}
{{- else if include "agents.runsTools" . -}}
{{- include "agents.toolAccountName" .root -}}
{{- else -}}
{{- include "agents.serviceAccountName" .root -}}
{{- end -}}
{{- end -}}

{{/*
The image of one workload, by default that of all. `global.imageRegistry` takes the place of the registry in its name,
which is a first part with a dot or a port, or `localhost`. Takes {root, image}.
*/}}
{{- define "agents.image" -}}
{{- $own := .image | default dict -}}
{{- $all := .root.Values.image -}}
{{- $repository := default $all.repository $own.repository -}}
{{- with .root.Values.global.imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") -}}
{{- end -}}
{{- $digest := ternary $own.digest $all.digest (or (hasKey $own "digest") (hasKey $own "tag") (hasKey $own "repository")) -}}
{{- if $digest -}}
{{ $repository }}@{{ $digest }}
{{- else -}}
{{ $repository }}:{{ default (default .root.Chart.AppVersion $all.tag) $own.tag }}
{{- end -}}
{{- end -}}

{{- define "agents.agentsConfigMap" -}}
{{- if .Values.agents.existingConfigMap -}}
{{- .Values.agents.existingConfigMap -}}
{{- else if .Values.agents.files -}}
{{- include "agents.fullname" . }}-agents
{{- end -}}
{{- end -}}

{{- define "agents.valueClaim" -}}
{{- default (printf "%s-values" (include "agents.fullname" .)) .Values.valueStore.persistence.existingClaim -}}
{{- end -}}

{{- define "agents.sessionClaim" -}}
{{- default (printf "%s-sessions" (include "agents.fullname" .)) .Values.sessionStore.persistence.existingClaim -}}
{{- end -}}
