{{/* The image of every part. */}}
{{- define "ballast.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (printf "v%s" .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* Labels of every object; call with (list . "component"). */}}
{{- define "ballast.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: ballast
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end -}}

{{/* What selects the pods of a component. */}}
{{- define "ballast.selector" -}}
app.kubernetes.io/name: ballast
app.kubernetes.io/component: {{ . }}
{{- end -}}

{{/* Of a container without any privilege. */}}
{{- define "ballast.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* How pods get the image; nothing where there is nothing to say. */}}
{{- define "ballast.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the pods of every node run. */}}
{{- define "ballast.nodePlacement" -}}
{{- with .Values.nodes.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodes.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodes.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodes.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Namespaces whose secrets StorageClasses may lend to claims of others, as a list of CEL. */}}
{{- define "ballast.secretNamespaces" -}}
{{- $names := .Values.controller.secretNamespaces -}}
{{- range .Values.storageClasses -}}
{{- with (.secret | default dict).namespace -}}
{{- if not (contains "$" .) -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- end -}}
[{{- range $at, $name := $names | uniq -}}{{- if $at }}, {{ end -}}{{ $name | squote }}{{- end -}}]
{{- end -}}
