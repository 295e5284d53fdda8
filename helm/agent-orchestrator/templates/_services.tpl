{{/*
Settings of one workload: `serviceDefaults`, overridden key by key, also within `autoscaling` and `networkPolicy`.
Takes {root, own}. As YAML, because a template returns text.
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

{{/* The names that a service runs. Takes {name, service}. */}}
{{- define "agents.runs" -}}
{{- toYaml (default (list .name) .service.run) -}}
{{- end -}}

{{/*
The pool of a service that runs tools. An executor without a pool runs the tools of every pool, so if any entry has a
pool, the others get the common one. Takes {root, name, service}.
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

{{/* Not empty if an enabled service uses the session store. */}}
{{- define "agents.hasSessionStore" -}}
{{- range $name, $own := .Values.services -}}
{{- $service := include "agents.service" (dict "root" $ "own" $own) | fromYaml -}}
{{- if and $service.enabled $service.sessionStore -}}yes{{- end -}}
{{- end -}}
{{- end -}}
