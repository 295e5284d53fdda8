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

{{/*
The pool of a service that runs tools. An executor without one would run the tools of every pool, so where any entry
has a pool the others have the common one. Takes {root, name, service}.
*/}}
{{- define "agents.toolPool" -}}
{{- $runs := include "agents.runs" . | fromYamlArray -}}
{{- if has "tool-executor" $runs -}}
{{- $pool := .service.toolPool -}}
{{- range $name, $own := .root.Values.services -}}
{{- $other := include "agents.service" (dict "root" $.root "own" $own) | fromYaml -}}
{{- if and $other.enabled $other.toolPool (not $pool) -}}
{{- $pool = "common" -}}
{{- end -}}
{{- end -}}
{{- $pool -}}
{{- end -}}
{{- end -}}

{{/* The consumer group of a service, without the prefix. Takes {root, name, service}. */}}
{{- define "agents.group" -}}
{{- $group := first (include "agents.runs" . | fromYamlArray) -}}
{{- $pool := include "agents.toolPool" . -}}
{{- if and (eq $group "tool-executor") $pool (ne $pool "common") -}}
{{- $group = printf "%s-%s" $group $pool -}}
{{- end -}}
{{- default $group .service.autoscaling.group -}}
{{- end -}}

{{/* Not empty if a service that is on has the session store. */}}
{{- define "agents.hasSessionStore" -}}
{{- range $name, $own := .Values.services -}}
{{- $service := include "agents.service" (dict "root" $ "own" $own) | fromYaml -}}
{{- if and $service.enabled $service.sessionStore -}}yes{{- end -}}
{{- end -}}
{{- end -}}
