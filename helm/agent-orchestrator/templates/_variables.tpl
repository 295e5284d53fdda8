{{- /* The environment variables that values name, as YAML: lists by the place where they are named. */ -}}
{{- define "agents.variables" -}}
{{- $found := dict "extraEnv" .Values.extraEnv "orchestrator.extraEnv" .Values.orchestrator.extraEnv "serviceDefaults.extraEnv" .Values.serviceDefaults.extraEnv -}}
{{- range $name, $own := .Values.services -}}
{{- if $own -}}
{{- $_ := set $found (printf "services.%s.extraEnv" $name) $own.extraEnv -}}
{{- end -}}
{{- end -}}
{{- $found | toYaml -}}
{{- end -}}
