{{/*
Settings of one workload: `serviceDefaults`, overridden key by key, also within the mappings that are listed here.
Takes {root, own}. As YAML, because a template returns text.
*/}}
{{- define "agents.service" -}}
{{- $merged := deepCopy .root.Values.serviceDefaults -}}
{{- range $key, $value := .own -}}
{{- if and (has $key (list "autoscaling" "networkPolicy" "kafka" "schemaRegistry" "valueStore" "tmp")) (kindIs "map" $value) -}}
{{- range $inner, $one := $value -}}
{{- $_ := set (index $merged $key) $inner $one -}}
{{- end -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* Every workload by name: the services, the orchestrator and, if it is on, the admin tools. */}}
{{- define "agents.workloads" -}}
{{- $workloads := set (deepCopy .Values.services) "orchestrator" .Values.orchestrator -}}
{{- if .Values.adminTools.enabled -}}
{{- $_ := set $workloads "admin-tools" .Values.adminTools -}}
{{- end -}}
{{- toYaml $workloads -}}
{{- end -}}

{{/* The names that a service runs. Takes {name, service}. */}}
{{- define "agents.runs" -}}
{{- toYaml (default (list .name) .service.run) -}}
{{- end -}}

{{/* Not empty if a workload runs tools, which are not trusted with what the platform may do. Takes {name, service}. */}}
{{- define "agents.runsTools" -}}
{{- if has "tool-executor" (include "agents.runs" . | fromYamlArray) -}}yes{{- end -}}
{{- end -}}

{{/*
The pool of a service that runs tools. An executor without a pool runs the tools of every pool, so if any entry has a
pool, the others get the common one. Takes {root, name, service}.
*/}}
{{- define "agents.toolPool" -}}
{{- if include "agents.runsTools" . -}}
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

{{/*
The number of copies that a workload shall have, and the annotation that remembers it. A number that somebody else set
stays: an autoscaler's, and one set by hand (`kubectl scale`) until the value of the chart changes. Otherwise turning
autoscaling on would leave one copy, and Helm 4 would stop at the conflict. Only an upgrade by Helm sees the cluster;
where it is not seen, as in `helm template`, the value counts. Takes {root, kind, name, replicas, autoscaled}; `replicas`
of the result is missing if it is nobody's yet.
*/}}
{{- define "agents.copies" -}}
{{- $live := lookup "apps/v1" .kind .root.Release.Namespace .name -}}
{{- $wanted := ternary "autoscaled" (toString (int .replicas)) .autoscaled -}}
{{- $number := ternary nil (int .replicas) .autoscaled -}}
{{- if $live -}}
{{- $before := dig "metadata" "annotations" "agent-orchestrator/replicas" "" $live -}}
{{- if or .autoscaled (eq $before $wanted) -}}
{{- $number = int (dig "spec" "replicas" 1 $live) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "annotation" (dict "agent-orchestrator/replicas" $wanted) "replicas" $number) -}}
{{- end -}}
