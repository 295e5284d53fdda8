{{/* Names that the API server would refuse in the middle of an installation. Takes the root; a list of texts. */}}
{{- define "agents.nameMistakes" -}}
{{- $name := include "agents.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
- {{ printf "%s cannot be the beginning of names of Services, which have lower-case letters, digits and dashes, and begin with a letter: set fullnameOverride, such as %s" $name (regexReplaceAll "[^a-z0-9]+" (lower $name) "-" | trimAll "-" | printf "agents-%s" | trunc 38 | trimSuffix "-") | quote }}
{{- end }}
{{- with default .Chart.Name .Values.nameOverride }}
{{- if not (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" .) }}
- {{ printf "nameOverride is %s, which cannot be the value of a label: use letters, digits, dashes, dots and underscores" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels of pods that would change which pods are selected. Takes the root; a list of texts. */}}
{{- define "agents.labelMistakes" -}}
{{- $places := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels -}}
{{- range $name, $own := include "agents.workloads" . | fromYaml -}}
{{- $service := include "agents.service" (dict "root" $ "own" $own) | fromYaml -}}
{{- $place := has $name (list "orchestrator") | ternary "orchestrator" (printf "services.%s" $name) -}}
{{- if eq $name "admin-tools" -}}{{- $place = "adminTools" -}}{{- end -}}
{{- $_ := set $places (printf "%s.podLabels" $place) $service.podLabels -}}
{{- end -}}
{{- range $place, $labels := $places -}}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/managed-by" -}}
{{- if hasKey $labels $key }}
- {{ printf "%s has %s, by which pods of this release are found: use another key" $place $key | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Settings of alerts that do not exist. Takes the root; a list of texts. */}}
{{- define "agents.alertMistakes" -}}
{{- $known := list -}}
{{- range (.Files.Get "rules/alerts.yaml" | fromYaml).groups -}}
{{- range .rules -}}
{{- $known = append $known .alert -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.metrics.rules.alerts -}}
{{- if not (has $name $known) }}
- {{ printf "metrics.rules.alerts has %s, which is no alert: there are %s" $name (join ", " $known) | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of client settings that are secrets. */}}
{{- define "agents.secretPattern" -}}
(?i)password|secret|key\.pem$|oauthbearer\.config$|user\.info$|\.token$|jaas|assertion\.private
{{- end -}}

{{/* Secrets among plain settings of single workloads. Takes the root; a list of texts. */}}
{{- define "agents.clientMistakes" -}}
{{- $owners := dict "jobs" .Values.jobs "adminTools" .Values.adminTools "orchestrator" .Values.orchestrator "serviceDefaults" .Values.serviceDefaults -}}
{{- range $name, $own := .Values.services -}}
{{- $_ := set $owners (printf "services.%s" $name) $own -}}
{{- end -}}
{{- range $place, $own := $owners -}}
{{- range $client := list "kafka" "schemaRegistry" -}}
{{- range $setting, $_ := dig $client "settings" dict (default dict $own) -}}
{{- if regexMatch (include "agents.secretPattern" $) $setting }}
- {{ printf "%s.%s.settings has %s, which is a secret: put it into a Secret, and name the Secret in %s.%s.secretSettings" $place $client $setting $place $client | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
