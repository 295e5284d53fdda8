{{/* Ports of comma-separated addresses: `host:port`, or URLs. Takes {addresses, port}. */}}
{{- define "agents.ports" -}}
{{- range splitList "," .addresses }}
{{- $address := . | trim }}
{{- $authority := regexReplaceAll "^[A-Za-z0-9_+.-]*://" $address "" | splitList "/" | first }}
{{- $default := ternary 443 $.port (hasPrefix "https://" $address) }}
- {{ regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (toString $default) | int }}
{{- end }}
{{- end -}}

{{/*
One egress rule: the ports of what is configured and those that `networkPolicy.peers` adds, to its peers, or else to
those of all. Nothing without a port. Takes {root, name, ports, udp}.
*/}}
{{- define "agents.egress" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $own := get $policy.peers .name | default dict -}}
{{- $ports := concat .ports (default list $own.ports) | uniq -}}
{{- $to := default $policy.to $own.to -}}
{{- if eq .name "dns" -}}
{{- $to = $own.to -}}
{{- end -}}
{{- if $ports }}
# {{ .name }}
- ports:
    {{- range $ports }}
    {{- if $.udp }}
    - {protocol: UDP, port: {{ int . }}}
    {{- end }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with $to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Ports of identity providers, from which clients get tokens. Takes the values, or those of one workload. */}}
{{- define "agents.tokenPorts" -}}
{{- range $client := list "kafka" "schemaRegistry" -}}
{{- range $setting, $value := dig $client "settings" dict (omit $ "nothing") -}}
{{- if regexMatch "endpoint\\.url$" $setting -}}
{{- include "agents.ports" (dict "addresses" (toString $value) "port" 80) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What every pod may reach, by the name of what is configured. Takes the root. */}}
{{- define "agents.egressOfAll" -}}
{{- $values := .Values -}}
{{- include "agents.egress" (dict "root" . "name" "dns" "ports" list "udp" true) }}
{{- include "agents.egress" (dict "root" . "name" "kafka" "ports" (include "agents.ports" (dict "addresses" $values.kafka.bootstrapServers "port" 9092) | fromYamlArray)) }}
{{- include "agents.egress" (dict "root" . "name" "registry" "ports" (include "agents.ports" (dict "addresses" $values.schemaRegistry.url "port" 80) | fromYamlArray)) }}
{{- $otlp := list }}
{{- with $values.otlp.endpoint }}
{{- $otlp = include "agents.ports" (dict "addresses" . "port" 4317) | fromYamlArray }}
{{- end }}
{{- include "agents.egress" (dict "root" . "name" "otlp" "ports" $otlp) }}
{{- $bucket := list }}
{{- if hasPrefix "s3://" $values.valueStore.url }}
{{- $endpoint := regexFind "endpoint_url=[^&]+" $values.valueStore.url | trimPrefix "endpoint_url=" | default "https://s3" }}
{{- $bucket = include "agents.ports" (dict "addresses" $endpoint "port" 80) | fromYamlArray }}
{{- end }}
{{- include "agents.egress" (dict "root" . "name" "valueStore" "ports" $bucket) }}
{{- include "agents.egress" (dict "root" . "name" "identity" "ports" (include "agents.tokenPorts" $values | fromYamlArray)) }}
{{- with $values.networkPolicy.extraPorts }}
- ports:
    {{- range . | uniq }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with $values.networkPolicy.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
What one workload may reach beyond that: where its own clients get tokens, a database and models if it uses them.
Takes {root, service}.
*/}}
{{- define "agents.egressOfOne" -}}
{{- $values := .root.Values -}}
{{- with include "agents.tokenPorts" .service | fromYamlArray }}
{{- include "agents.egress" (dict "root" $.root "name" "identity" "ports" .) }}
{{- end }}
{{- if and .service.sessionStore $values.sessionStore.existingSecret }}
{{- include "agents.egress" (dict "root" .root "name" "sessionStore" "ports" (list $values.sessionStore.port)) }}
{{- end }}
{{- if .service.models }}
{{- $ports := list }}
{{- range $values.models.endpoints }}
{{- $ports = concat $ports (include "agents.ports" (dict "addresses" . "port" 80) | fromYamlArray) }}
{{- end }}
{{- include "agents.egress" (dict "root" .root "name" "models" "ports" $ports) }}
{{- end }}
{{- with .service.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
