{{/* Where the number of partitions is kept. Takes the root. */}}
{{- define "agents.partitionsName" -}}
{{ include "agents.fullname" . }}-partitions-{{ .Values.topicPrefix | sha256sum | trunc 6 }}
{{- end -}}

{{/*
Name of a KafkaTopic. Releases of several namespaces may share the namespace of the topic operator, and a release may get
another prefix, which are other topics: the digest is of both. Takes {root, topic}.
*/}}
{{- define "agents.kafkaTopicName" -}}
{{ include "agents.fullname" .root }}-{{ .topic | replace "." "-" }}-{{ printf "%s/%s" .root.Release.Namespace .root.Values.topicPrefix | sha256sum | trunc 6 }}
{{- end -}}

{{/* What is wrong with topics that exist, as far as an upgrade by Helm sees them; empty if nothing. Takes the root. */}}
{{- define "agents.topicMistakes" -}}
{{- $wanted := int .Values.partitions -}}
{{- $advice := "sessions are in the partition that their id maps to, so the number never changes: keep it, or install a second release with another topicPrefix" -}}
{{- $kept := lookup "v1" "ConfigMap" .Release.Namespace (include "agents.partitionsName" .) -}}
{{- if and $kept (ne (dig "data" "partitions" (toString $wanted) $kept) (toString $wanted)) }}
- {{ printf "partitions is %d, and this installation was made with %s: %s. If its topics are deleted, delete the ConfigMap %s too" $wanted $kept.data.partitions $advice (include "agents.partitionsName" .) | quote }}
{{- end -}}
{{- if eq .Values.topics.manage "strimzi" -}}
{{- $apis := .Capabilities.APIVersions -}}
{{- if and (or ($apis.Has "kafka.strimzi.io/v1beta2") ($apis.Has "kafka.strimzi.io/v1beta1")) (not ($apis.Has "kafka.strimzi.io/v1")) }}
- "topics.manage is strimzi, and the cluster's Strimzi is older than 0.49, which brings kafka.strimzi.io/v1: upgrade Strimzi, or set topics.manage to job"
{{- else if $apis.Has "kafka.strimzi.io/v1" -}}
{{- $namespace := default .Release.Namespace .Values.topics.strimzi.namespace -}}
{{- range .Files.Get "files/topics.yaml" | fromYamlArray -}}
{{- $live := lookup "kafka.strimzi.io/v1" "KafkaTopic" $namespace (include "agents.kafkaTopicName" (dict "root" $ "topic" .topic)) -}}
{{- $number := default $wanted .partitions | int -}}
{{- if and $live (ne (dig "spec" "partitions" $number $live | int) $number) }}
- {{ printf "partitions is %d, and the KafkaTopic of %s%s has %d: %s" $number $.Values.topicPrefix .topic (dig "spec" "partitions" 0 $live | int) $advice | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
