{{/*
One workload's settings: `serviceDefaults` with its own over them, key by key; within `autoscaling` and
`networkPolicy` too. Takes {root, own}. As YAML, because a template returns text.
*/}}
{{- define "agents.service" -}}
{{- $merged := deepCopy .root.Values.serviceDefaults -}}
{{- range $key, $value := .own -}}
{{- if and (has $key (list "autoscaling" "networkPolicy")) (kindIs "map" $value) -}}
{{- range $inner, $one := $value -}}
{{- $_ := set (index $merged $key) $inner $one -}}
{{- end -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* What a service runs. Takes {name, service}. */}}
{{- define "agents.runs" -}}
{{- toYaml (default (list .name) .service.run) -}}
{{- end -}}

{{/* Not empty if a service that is on has the session store. */}}
{{- define "agents.hasSessionStore" -}}
{{- range $name, $own := .Values.services -}}
{{- $service := include "agents.service" (dict "root" $ "own" $own) | fromYaml -}}
{{- if and $service.enabled $service.sessionStore -}}yes{{- end -}}
{{- end -}}
{{- end -}}
