{{/* The pod of an uninstall hook up to its command; call with (list . "check"). */}}
{{- define "ballast.uninstallPod" -}}
{{- $root := index . 0 -}}
serviceAccountName: ballast-uninstall-{{ index . 1 }}
automountServiceAccountToken: true
restartPolicy: Never
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodes.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodes.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- /* OpenShift gives it a user of the namespace's own. */}}
  {{- if not ($root.Values.openshift | default dict).enabled }}
  runAsUser: 64646
  runAsGroup: 64646
  {{- end }}
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: teardown
    image: {{ include "ballast.image" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    # What it says is seen in the pod's status, too.
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      {{- include "ballast.unprivileged" . | nindent 6 }}
    resources:
      requests:
        cpu: 10m
        memory: 96Mi
      limits:
        memory: 256Mi
{{- end -}}
