{{/* Beginning of all names. 38 characters leave room for what a StatefulSet adds. */}}
{{- define "agents.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- default $name .Values.fullnameOverride | trunc 38 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels that select pods. They never change. Takes {root, component}. */}}
{{- define "agents.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Labels of every object. Takes {root, component}. */}}
{{- define "agents.labels" -}}
{{ include "agents.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- end -}}

{{/* Name, namespace and labels of an object. Takes {root, name, component}. */}}
{{- define "agents.metadata" -}}
name: {{ .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "agents.labels" . | nindent 2 }}
{{- end -}}

{{- define "agents.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "agents.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The image of one workload, by default that of all. Takes {root, image}. */}}
{{- define "agents.image" -}}
{{- $own := .image | default dict -}}
{{- $all := .root.Values.image -}}
{{- $repository := default $all.repository $own.repository -}}
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
