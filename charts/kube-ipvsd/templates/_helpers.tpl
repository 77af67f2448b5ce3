{{- define "kube-ipvsd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kube-ipvsd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kube-ipvsd.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kube-ipvsd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kube-ipvsd.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "kube-ipvsd.labels" -}}
{{ include "kube-ipvsd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kube-ipvsd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kube-ipvsd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kube-ipvsd.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" if something scrapes the metrics from outside the node. */}}
{{- define "kube-ipvsd.scraped" -}}
{{- if or .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}true{{- end -}}
{{- end -}}

{{/* Where a node with this bindAddress listens on all its addresses. */}}
{{- define "kube-ipvsd.anyAddress" -}}
{{- if contains ":" (default "" (get .Values.config "bindAddress")) -}}[::]{{- else -}}0.0.0.0{{- end -}}
{{- end -}}

{{- define "kube-ipvsd.healthzAddress" -}}
{{- default (printf "%s:10256" (include "kube-ipvsd.anyAddress" .)) (get .Values.config "healthzBindAddress") -}}
{{- end -}}

{{- define "kube-ipvsd.metricsAddress" -}}
{{- $given := get .Values.config "metricsBindAddress" -}}
{{- if $given -}}
{{- if and (include "kube-ipvsd.scraped" .) (regexMatch "^(127\\.|\\[?::1(\\]|$)|none$)" $given) -}}
{{- fail (printf "config.metricsBindAddress: %s cannot be scraped: give an address that Prometheus reaches, or disable podMonitor and serviceMonitor" $given) -}}
{{- end -}}
{{- $given -}}
{{- else if include "kube-ipvsd.scraped" . -}}
{{- printf "%s:10249" (include "kube-ipvsd.anyAddress" .) -}}
{{- else if contains ":" (default "" (get .Values.config "bindAddress")) -}}
[::1]:10249
{{- else -}}
127.0.0.1:10249
{{- end -}}
{{- end -}}

{{/* Of (dict "address" "10.0.0.1:10256" "default" 10256): an IPv6 address without a port is full of colons. */}}
{{- define "kube-ipvsd.port" -}}
{{- if regexMatch "^(\\[.*\\]|[0-9.]+):[0-9]+$" .address -}}
{{- regexFind "[0-9]+$" .address -}}
{{- else -}}
{{- .default -}}
{{- end -}}
{{- end -}}

{{- define "kube-ipvsd.host" -}}
{{- regexReplaceAll "^\\[(.*)\\](:[0-9]+)?$|^([0-9.]+):[0-9]+$" . "${1}${3}" -}}
{{- end -}}

{{/* The configuration file. What the chart decides wins over what a pasted configuration says. */}}
{{- define "kube-ipvsd.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "apiVersion" "kubeproxy.config.k8s.io/v1alpha1" -}}
{{- $_ := set $config "kind" "KubeProxyConfiguration" -}}
{{- $_ := set $config "mode" "ipvs" -}}
{{- $_ := set $config "healthzBindAddress" (include "kube-ipvsd.healthzAddress" .) -}}
{{- $_ := set $config "metricsBindAddress" (include "kube-ipvsd.metricsAddress" .) -}}
{{- $connection := deepCopy (default dict (get $config "clientConnection")) -}}
{{- $_ := set $connection "kubeconfig" (ternary "/etc/kube-ipvsd/kubeconfig/kubeconfig" "" (not (empty .Values.apiServer.kubeconfigConfigMap.name))) -}}
{{- $_ := set $config "clientConnection" $connection -}}
{{- if .Values.scheduler -}}
{{- $ipvs := deepCopy (default dict (get $config "ipvs")) -}}
{{- $_ := set $ipvs "scheduler" .Values.scheduler -}}
{{- $_ := set $config "ipvs" $ipvs -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The backend nft works without raw sockets. */}}
{{- define "kube-ipvsd.onlyNft" -}}
{{- if eq "nft" (dig "ipvsd" "iptablesBackend" "auto" .Values.config) -}}true{{- end -}}
{{- end -}}

{{- define "kube-ipvsd.probe" -}}
httpGet:
  path: {{ .path }}
  port: healthz
  {{- with include "kube-ipvsd.host" .address }}
  {{- if not (has . (list "0.0.0.0" "::")) }}
  host: {{ . | quote }}
  {{- end }}
  {{- end }}
{{- with .timings }}
{{ toYaml . }}
{{- end }}
{{- end -}}
