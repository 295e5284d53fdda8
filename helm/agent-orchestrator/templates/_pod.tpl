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

{{/* Where a pod may run: its own rules, by default those of all pods. Takes {root, service}. */}}
{{- define "agents.placement" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with default (index $.root.Values $key) (index $.service $key) }}
{{ $key }}: {{- if kindIs "string" . }} {{ . | quote }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Volumes that every container of ours has. Takes {root}. */}}
{{- define "agents.commonVolumes" -}}
- name: tmp
  emptyDir: {}
{{- with .root.Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ . | quote }}
    # r--r-----, in decimal because YAML versions disagree about octal.
    defaultMode: 288
{{- end }}
{{- with .root.Values.schemaRegistry.tls.existingSecret }}
- name: registry-tls
  secret:
    secretName: {{ . | quote }}
    # r--r-----, in decimal because YAML versions disagree about octal.
    defaultMode: 288
{{- end }}
{{- end -}}

{{- define "agents.commonMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .root.Values.kafka.tls.existingSecret }}
- name: kafka-tls
  mountPath: /etc/orchestrator/kafka
  readOnly: true
{{- end }}
{{- if .root.Values.schemaRegistry.tls.existingSecret }}
- name: registry-tls
  mountPath: /etc/orchestrator/registry
  readOnly: true
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
  emptyDir: {}
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

{{/*
The pod of one workload, used by the orchestrator and every service.
Takes {root, name, runs, service, env}; `env` has variables of this workload only.
*/}}
{{- define "agents.pod" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "agents.selector" (dict "root" .root "component" .name) | nindent 4 }}
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- range $key, $value := merge (dict) .service.podLabels $values.podLabels }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .name | quote }}
    {{- if .service.files }}
    checksum/files: {{ toYaml .service.files | sha256sum | quote }}
    {{- end }}
    {{- range $key, $value := merge (dict) .service.podAnnotations $values.podAnnotations }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
spec:
  {{- include "agents.podBasics" (dict "root" .root "account" (include "agents.serviceAccountName" .root)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "agents.gracePeriod" .root }}
  {{- with include "agents.placement" . }}
  {{- . | nindent 2 | replace "\n\n" "\n" }}
  {{- end }}
  {{- if $values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $values.topologySpread.topologyKeys }}
    - maxSkew: 1
      topologyKey: {{ . | quote }}
      whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable | quote }}
      labelSelector:
        matchLabels:
          {{- include "agents.selector" (dict "root" $.root "component" $.name) | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .service.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name | quote }}
      image: {{ include "agents.image" (dict "root" .root "image" .service.image) | quote }}
      imagePullPolicy: {{ default $values.image.pullPolicy (.service.image).pullPolicy | quote }}
      command: [orchestrator]
      args:
        - run
        {{- range concat .runs .service.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        {{- $platform := include "agents.processEnv" . | fromYamlArray }}
        {{- include "agents.distinct" (concat $platform .env $values.extraEnv .service.extraEnv) | nindent 8 }}
      {{- with concat $values.extraEnvFrom .service.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ int $values.httpPort }}
      startupProbe:
        httpGet: {path: /healthz, port: http}
        {{- toYaml $values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        {{- toYaml $values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        {{- toYaml $values.probes.readiness | nindent 8 }}
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
    {{- include "agents.volumes" . | nindent 4 }}
{{- end -}}

{{/* Calls in flight get `drainSeconds`, the last records 5 s, and spans 5 s per service. */}}
{{- define "agents.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (ceil .Values.drainSeconds | int) 20 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
