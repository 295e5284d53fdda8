{{/*
All settings are environment variables, not a ConfigMap. So hooks that run before anything is installed have them too,
and every change rolls the pods.
*/}}

{{/* `sasl.mechanism` as ORCHESTRATOR_KAFKA_SASL_MECHANISM. Takes {prefix, setting}. */}}
{{- define "agents.variable" -}}
{{ .prefix }}_{{ .setting | upper | replace "." "_" }}
{{- end -}}

{{/* TLS files of a client: those of all workloads, overridden by a workload's own. Takes {root, service, client}. */}}
{{- define "agents.tls" -}}
{{- toYaml (merge (dict) (dig .client "tls" dict .service) (index .root.Values .client).tls) -}}
{{- end -}}

{{/*
Settings of a client, plain and from secrets: those of all workloads, then a workload's own, which win because they come
last. Takes {root, service, client, prefix, folder}.
*/}}
{{- define "agents.clientSettings" -}}
{{- $prefix := .prefix -}}
{{- range $from := list (index .root.Values .client) (dig .client dict .service) }}
{{- range $setting, $value := $from.settings }}
- name: {{ include "agents.variable" (dict "prefix" $prefix "setting" $setting) | quote }}
  value: {{ include "agents.text" $value | quote }}
{{- end }}
{{- range $setting, $secret := $from.secretSettings }}
- name: {{ include "agents.variable" (dict "prefix" $prefix "setting" $setting) | quote }}
  valueFrom: {secretKeyRef: {name: {{ $secret.name | quote }}, key: {{ $secret.key | quote }}}}
{{- end }}
{{- end }}
{{- $tls := include "agents.tls" . | fromYaml }}
{{- if $tls.existingSecret }}
{{- range $setting, $file := dict "ssl.ca.location" $tls.ca "ssl.certificate.location" $tls.certificate "ssl.key.location" $tls.key }}
{{- if $file }}
- name: {{ include "agents.variable" (dict "prefix" $prefix "setting" $setting) | quote }}
  value: {{ printf "%s/%s" $.folder $file | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A number without an exponent, anything else unchanged. */}}
{{- define "agents.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Settings of every process: the cluster and the value store. Takes {root, service}. */}}
{{- define "agents.installationEnv" -}}
{{- $values := .root.Values -}}
- name: ORCHESTRATOR_BOOTSTRAP_SERVERS
  value: {{ $values.kafka.bootstrapServers | quote }}
- name: ORCHESTRATOR_SCHEMA_REGISTRY_URL
  value: {{ $values.schemaRegistry.url | quote }}
{{- with $values.schemaRegistry.subjects }}
- name: ORCHESTRATOR_SCHEMA_SUBJECTS
  value: {{ join "," . | quote }}
{{- end }}
- name: ORCHESTRATOR_TOPIC_PREFIX
  value: {{ $values.topicPrefix | quote }}
- name: ORCHESTRATOR_PARTITIONS
  value: {{ int $values.partitions | quote }}
{{- with $values.topics.replicationFactor }}
- name: ORCHESTRATOR_REPLICATION_FACTOR
  value: {{ int . | quote }}
{{- end }}
{{- include "agents.clientSettings" (dict "root" .root "service" .service "client" "kafka" "prefix" "ORCHESTRATOR_KAFKA" "folder" "/etc/orchestrator/kafka") }}
{{- include "agents.clientSettings" (dict "root" .root "service" .service "client" "schemaRegistry" "prefix" "ORCHESTRATOR_SCHEMA_REGISTRY" "folder" "/etc/orchestrator/registry") }}
- name: ORCHESTRATOR_VALUES_URL
  value: {{ ternary "/var/lib/orchestrator/values" $values.valueStore.url $values.valueStore.persistence.enabled | quote }}
- name: ORCHESTRATOR_VALUES_INLINE_BYTES
  value: {{ int64 $values.valueStore.inlineBytes | quote }}
{{- with merge (dict) (dig "valueStore" "aws" dict .service) $values.valueStore.aws }}
{{- if .existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .accessKeyId | quote }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .secretAccessKey | quote }}}}
{{- end }}
{{- end }}
{{- with $values.callKeys }}
{{- if .existingSecret }}
- name: ORCHESTRATOR_CALL_KEYS
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- end }}
{{- end }}
- name: ORCHESTRATOR_LOG_LEVEL
  value: {{ $values.log.level | quote }}
- name: ORCHESTRATOR_LOG_FORMAT
  value: {{ $values.log.format | quote }}
{{- end -}}

{{/* Where spans are sent. The attributes refer to variables that are defined before them. */}}
{{- define "agents.otlpEnv" -}}
{{- with .Values.otlp }}
{{- if .traceUrl }}
- name: ORCHESTRATOR_TRACE_URL
  value: {{ .traceUrl | quote }}
{{- end }}
{{- if .endpoint }}
- name: ORCHESTRATOR_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
{{- if ne (toString .samplerArgument) "" }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArgument | quote }}
{{- end }}
{{- if .headers.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .headers.existingSecret | quote }}, key: {{ .headers.key | quote }}}}
{{- end }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- $attributes := list "k8s.namespace.name=$(POD_NAMESPACE)" "k8s.pod.name=$(POD_NAME)" }}
{{- range $name, $value := .resourceAttributes }}
{{- $attributes = append $attributes (printf "%s=%s" $name (include "agents.text" $value)) }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The session store. */}}
{{- define "agents.sessionStoreEnv" -}}
- name: ORCHESTRATOR_SESSIONS_URL
{{- with .Values.sessionStore }}
{{- if .existingSecret }}
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- else }}
  value: sqlite:////var/lib/orchestrator/sessions/sessions.sqlite
{{- end }}
{{- end }}
{{- end -}}

{{/* The environment of a process that runs services. Takes {root, name, service}. */}}
{{- define "agents.processEnv" -}}
{{ include "agents.installationEnv" . }}
- name: ORCHESTRATOR_HTTP_HOST
  value: "0.0.0.0"
- name: ORCHESTRATOR_HTTP_PORT
  value: {{ int .root.Values.httpPort | quote }}
- name: ORCHESTRATOR_DRAIN_S
  value: {{ include "agents.text" .root.Values.drainSeconds | quote }}
{{- with include "agents.toolPool" . }}
- name: ORCHESTRATOR_TOOL_EXECUTOR_POOL
  value: {{ . | quote }}
{{- end }}
{{- with .service.modules }}
- name: ORCHESTRATOR_MODULES
  value: {{ join "," . | quote }}
{{- end }}
{{- include "agents.otlpEnv" .root }}
{{- if .service.sessionStore }}
{{ include "agents.sessionStoreEnv" .root }}
{{- end }}
{{- end -}}

{{/*
The environment of all pods as one workload gets it. Pods that run tools get no secrets that way, except those of the
clients for Kafka and the registry and the keys of calls: what tools need is named in their own entry. Takes {root, name, service}.
*/}}
{{- define "agents.sharedEnv" -}}
{{- $kept := list -}}
{{- $guarded := and (include "agents.runsTools" .) (not .root.Values.toolPods.inheritSecrets) -}}
{{- range .root.Values.extraEnv -}}
{{- $secret := dig "valueFrom" "secretKeyRef" "" . -}}
{{- if not (and $guarded $secret (not (regexMatch "^ORCHESTRATOR_(KAFKA_|SCHEMA_REGISTRY_|CALL_KEYS$)" .name))) -}}
{{- $kept = append $kept . -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{/* Sources of variables, in the same way; and the keys of models where they are named. Takes {root, name, service}. */}}
{{- define "agents.environmentSources" -}}
{{- $kept := list -}}
{{- $guarded := and (include "agents.runsTools" .) (not .root.Values.toolPods.inheritSecrets) -}}
{{- range .root.Values.extraEnvFrom -}}
{{- if not (and $guarded (hasKey . "secretRef")) -}}
{{- $kept = append $kept . -}}
{{- end -}}
{{- end -}}
{{- if and .service.models .root.Values.models.existingSecret -}}
{{- $kept = append $kept (dict "secretRef" (dict "name" .root.Values.models.existingSecret)) -}}
{{- end -}}
{{- toYaml (concat $kept .service.extraEnvFrom) -}}
{{- end -}}

{{/*
Keeps the last variable of each name: the user's come last. Server-side apply, which Helm 4 uses, refuses duplicate
names.
*/}}
{{- define "agents.distinct" -}}
{{- $seen := dict -}}
{{- $kept := list -}}
{{- range reverse . -}}
{{- if not (hasKey $seen .name) -}}
{{- $_ := set $seen .name true -}}
{{- $kept = prepend $kept . -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}
