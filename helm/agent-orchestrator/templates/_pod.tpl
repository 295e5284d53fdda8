{{/* Restricts a pod: no token, no service links, no privileges. Takes {root, account}. */}}
{{- define "agents.podBasics" -}}
serviceAccountName: {{ .account | quote }}
automountServiceAccountToken: false
{{- /* A Service named "orchestrator-kafka" would otherwise set ORCHESTRATOR_KAFKA_PORT, which we would read as a setting. */}}
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/* Where a pod may run and what it finds there: its own rules, by default those of all pods. Takes {root, service}. */}}
{{- define "agents.placement" -}}
{{- $found := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" -}}
{{- with default (index $.root.Values $key) (index $.service $key) -}}
{{- $_ := set $found $key . -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- toYaml $found -}}
{{- end -}}
{{- end -}}

{{/* `/tmp` of a workload, which is all that its root file system lets it write. Takes {root, service}. */}}
{{- define "agents.tmp" -}}
{{- toYaml (merge (dict) (dig "tmp" dict .service) .root.Values.tmp) -}}
{{- end -}}

{{/* Volumes that every container of ours has. Takes {root, service}. */}}
{{- define "agents.commonVolumes" -}}
{{- $tmp := include "agents.tmp" . | fromYaml -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ $tmp.sizeLimit | quote }}
    {{- with $tmp.medium }}
    medium: {{ . | quote }}
    {{- end }}
{{- range $name, $client := dict "kafka-tls" "kafka" "registry-tls" "schemaRegistry" }}
{{- $tls := include "agents.tls" (dict "root" $.root "service" $.service "client" $client) | fromYaml }}
{{- with $tls.existingSecret }}
- name: {{ $name }}
  secret:
    secretName: {{ . | quote }}
    # r--r-----, in decimal because YAML versions disagree about octal.
    defaultMode: 288
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes {root, service}. */}}
{{- define "agents.commonMounts" -}}
- name: tmp
  mountPath: /tmp
{{- range $name, $client := dict "kafka-tls" "kafka" "registry-tls" "schemaRegistry" }}
{{- $tls := include "agents.tls" (dict "root" $.root "service" $.service "client" $client) | fromYaml }}
{{- if $tls.existingSecret }}
- name: {{ $name }}
  mountPath: /etc/orchestrator/{{ ternary "kafka" "registry" (eq $client "kafka") }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Volumes of a process that runs services. Takes {root, name, service}. */}}
{{- define "agents.volumes" -}}
{{- $values := .root.Values -}}
{{ include "agents.commonVolumes" . }}
{{- if $values.valueStore.persistence.enabled }}
- name: values
  persistentVolumeClaim: {claimName: {{ include "agents.valueClaim" .root | quote }}}
{{- end }}
{{- if and .service.sessionStore (not $values.sessionStore.existingSecret) }}
- name: sessions
  {{- if $values.sessionStore.persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ include "agents.sessionClaim" .root | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $values.sessionStore.persistence.size | quote }}}
  {{- end }}
{{- end }}
{{- if .service.files }}
- name: files
  configMap: {name: {{ printf "%s-%s-files" (include "agents.fullname" .root) .name | quote }}}
{{- end }}
{{- range list $values.extraVolumes .service.extraVolumes }}
{{- with . }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "agents.mounts" -}}
{{- $values := .root.Values -}}
{{ include "agents.commonMounts" . }}
{{- if $values.valueStore.persistence.enabled }}
- name: values
  mountPath: /var/lib/orchestrator/values
  {{- if .service.valueStore.readOnly }}
  readOnly: true
  {{- end }}
{{- end }}
{{- if and .service.sessionStore (not $values.sessionStore.existingSecret) }}
- name: sessions
  mountPath: /var/lib/orchestrator/sessions
{{- end }}
{{- if .service.files }}
- name: files
  mountPath: /etc/orchestrator/files
  readOnly: true
{{- end }}
{{- range list $values.extraVolumeMounts .service.extraVolumeMounts }}
{{- with . }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Rules that spread the copies of a workload. Takes {root, name, kind}. */}}
{{- define "agents.spread" -}}
{{- range .root.Values.topologySpread.constraints }}
- labelSelector:
    matchLabels:
      {{- include "agents.selector" (dict "root" $.root "component" $.name) | nindent 6 }}
  # Copies of the previous version do not count while they are replaced.
  matchLabelKeys: [{{ ternary "controller-revision-hash" "pod-template-hash" (eq $.kind "StatefulSet") }}]
  {{- toYaml (merge (dict) . (dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway")) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Names of the secrets that a pod reads. Takes {env, envFrom, volumes}. */}}
{{- define "agents.secretNames" -}}
{{- $names := list -}}
{{- range .env -}}
{{- with dig "valueFrom" "secretKeyRef" "name" "" . -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- range .envFrom -}}
{{- with dig "secretRef" "name" "" . -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- range .volumes -}}
{{- with dig "secret" "secretName" "" . -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- toYaml ($names | uniq | sortAlpha) -}}
{{- end -}}

{{/* Digest of the content of secrets, as an upgrade by Helm sees it; empty elsewhere. Takes {root, names}. */}}
{{- define "agents.secretsDigest" -}}
{{- $found := list -}}
{{- range .names -}}
{{- with lookup "v1" "Secret" $.root.Release.Namespace . -}}
{{- $found = append $found (dict "name" .metadata.name "data" .data) -}}
{{- end -}}
{{- end -}}
{{- if $found -}}{{- toYaml $found | sha256sum -}}{{- end -}}
{{- end -}}

{{/* Annotations of a Deployment or StatefulSet. Takes {root}. */}}
{{- define "agents.workloadAnnotations" -}}
{{- if eq .root.Values.reload "reloader" -}}
reloader.stakater.com/auto: "true"
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* What all workloads have beside their pods. Takes {root, service}. */}}
{{- define "agents.rollout" -}}
revisionHistoryLimit: {{ int .service.revisionHistoryLimit }}
minReadySeconds: {{ int .service.minReadySeconds }}
{{- end -}}

{{/*
The pod of one workload, used by the orchestrator and every service.
Takes {root, kind, name, runs, service, env}; `env` has variables of this workload only. `idle` makes a pod that runs
nothing but waits to be told to end.
*/}}
{{- define "agents.pod" -}}
{{- $values := .root.Values -}}
{{- $env := include "agents.distinct" (concat (include "agents.processEnv" . | fromYamlArray) .env (include "agents.sharedEnv" . | fromYamlArray) .service.extraEnv) | fromYamlArray -}}
{{- $envFrom := include "agents.environmentSources" . | fromYamlArray -}}
{{- $volumes := include "agents.volumes" . | fromYamlArray -}}
{{- $noted := dict "kubectl.kubernetes.io/default-container" .name -}}
{{- if .service.files -}}
{{- $_ := set $noted "checksum/files" (toYaml .service.files | sha256sum) -}}
{{- end -}}
{{- if eq $values.reload "checksum" -}}
{{- with include "agents.secretsDigest" (dict "root" .root "names" (include "agents.secretNames" (dict "env" $env "envFrom" $envFrom "volumes" $volumes) | fromYamlArray)) -}}
{{- $_ := set $noted "checksum/secrets" . -}}
{{- end -}}
{{- end -}}
metadata:
  labels:
    {{- include "agents.podLabels" (dict "root" .root "component" .name "labels" .service.podLabels) | nindent 4 }}
  annotations:
    {{- include "agents.texts" (list $values.commonAnnotations $noted $values.podAnnotations .service.podAnnotations) | nindent 4 }}
spec:
  {{- include "agents.podBasics" (dict "root" .root "account" (include "agents.accountName" .)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "agents.gracePeriod" .root }}
  {{- with include "agents.placement" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if and $values.topologySpread.enabled $values.topologySpread.constraints }}
  topologySpreadConstraints:
    {{- include "agents.spread" . | nindent 4 }}
  {{- end }}
  {{- with .service.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name | quote }}
      image: {{ include "agents.image" (dict "root" .root "image" .service.image) | quote }}
      imagePullPolicy: {{ default $values.image.pullPolicy (.service.image).pullPolicy | quote }}
      {{- if .idle }}
      {{- include "agents.waiting" . | nindent 6 }}
      {{- else }}
      command: [orchestrator]
      args:
        - run
        {{- range concat .runs .service.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      {{- end }}
      env:
        {{- toYaml $env | nindent 8 }}
      {{- with $envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if not .idle }}
      ports:
        - name: http
          containerPort: {{ int $values.httpPort }}
      {{- $http := dict "path" "/healthz" "port" "http" }}
      startupProbe:
        {{- toYaml (merge (dict) $values.probes.startup (dict "httpGet" $http)) | nindent 8 }}
      livenessProbe:
        {{- toYaml (merge (dict) $values.probes.liveness (dict "httpGet" $http)) | nindent 8 }}
      readinessProbe:
        {{- toYaml (merge (dict) $values.probes.readiness (dict "httpGet" (dict "path" "/readyz" "port" "http"))) | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .service.resources | nindent 8 }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "agents.mounts" . | nindent 8 }}
    {{- with .service.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- toYaml $volumes | nindent 4 }}
{{- end -}}

{{/* Waits for SIGTERM, which a process with the id 1 would otherwise ignore. */}}
{{- define "agents.waiting" -}}
command: [python, -c]
args:
  - |
    import signal

    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
{{- end -}}

{{/* Calls in flight get `drainSeconds`, the last records 5 s, and spans 5 s per service. */}}
{{- define "agents.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (ceil .Values.drainSeconds | int) 20 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
