{{/* The label by which metrics of this release are told from those of others, as a selector; empty if nothing sets it. */}}
{{- define "agents.metricSelector" -}}
{{- $rules := .Values.metrics.rules -}}
{{- if not (kindIs "invalid" $rules.selector) -}}
{{- $rules.selector -}}
{{- else if ne .Values.metrics.monitor.kind "none" -}}
{{- printf "namespace=%q,installation=%q" .Release.Namespace .Release.Name -}}
{{- end -}}
{{- end -}}

{{/*
The rules of `rules/alerts.yaml` as this release has them: each metric selected by this release's labels, and what
`metrics.rules.alerts` says of each. An alert's threshold is the number behind its first `>`. Takes the root.
*/}}
{{- define "agents.rules" -}}
{{- $selector := include "agents.metricSelector" . -}}
{{- $settings := .Values.metrics.rules -}}
{{- $groups := list -}}
{{- range (.Files.Get "rules/alerts.yaml" | fromYaml).groups -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- $rule := . -}}
{{- $own := get $settings.alerts .alert | default dict -}}
{{- if dig "enabled" true $own -}}
{{- if $selector -}}
{{- $selected := regexReplaceAll "(agents_[a-z_]+)\\{" $rule.expr (printf "${1}{%s," $selector) -}}
{{- $_ := set $rule "expr" (regexReplaceAll "(agents_[a-z_]+)([^a-z_{]|$)" $selected (printf "${1}{%s}${2}" $selector)) -}}
{{- end -}}
{{- if hasKey $own "threshold" -}}
{{- $_ := set $rule "expr" (regexReplaceAll "^([^>]*>) *[0-9.]+" $rule.expr (printf "${1} %s" (include "agents.text" $own.threshold))) -}}
{{- end -}}
{{- with $own.for -}}
{{- $_ := set $rule "for" . -}}
{{- end -}}
{{- $severity := ternary (dict "severity" $own.severity) dict (hasKey $own "severity") -}}
{{- $_ := set $rule "labels" (include "agents.texts" (list $rule.labels $settings.alertLabels $severity $own.labels) | fromYaml) -}}
{{- $runbook := dict -}}
{{- with default (ternary (printf "%s#%s" $settings.runbookUrl (lower .alert)) "" (ne $settings.runbookUrl "")) $own.runbookUrl -}}
{{- $_ := set $runbook "runbook_url" . -}}
{{- end -}}
{{- $_ := set $rule "annotations" (include "agents.texts" (list $rule.annotations $runbook $own.annotations) | fromYaml) -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (set . "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "groups" $groups) -}}
{{- end -}}

{{/* How a monitor scrapes. The release's name becomes a label: two releases may be in one namespace. Takes the root. */}}
{{- define "agents.endpoint" -}}
{{- with .Values.metrics.monitor -}}
- port: http
  path: /metrics
  interval: {{ .interval | quote }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . | quote }}
  {{- end }}
  relabelings:
    - {targetLabel: installation, replacement: {{ $.Release.Name | quote }}}
    {{- with .relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}
