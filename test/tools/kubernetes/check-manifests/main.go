// Check-manifests judges the Kubernetes objects of a YAML stream on standard input as an API server
// with default feature gates would when they are created: unknown fields and wrong types, defaults, the
// validation of each kind, and Pod Security where the stream has a namespace that enforces a level. It
// prints a line for each fault and exits with 1 when there is one. Nothing is asked over a network.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// strategies are what the API server creates objects with.
var strategies = map[string]rest.RESTCreateStrategy{
	"DaemonSet.apps":                  daemonset.Strategy,
	"Deployment.apps":                 deployment.Strategy,
	"ConfigMap":                       configmap.Strategy,
	"Namespace":                       namespace.Strategy,
	"PersistentVolume":                persistentvolume.Strategy,
	"PersistentVolumeClaim":           persistentvolumeclaim.Strategy,
	"Pod":                             pod.Strategy,
	"Service":                         service.Strategy,
	"NetworkPolicy.networking.k8s.io": networkpolicy.Strategy,
	"CSIDriver.storage.k8s.io":        csidriver.Strategy,
}

func main() {
	flag.Parse()
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true})
	objects, faults := decode(os.Stdin)
	for _, object := range objects {
		faults = append(faults, validate(object)...)
	}
	faults = append(faults, checkPodSecurity(objects)...)
	for _, fault := range faults {
		fmt.Println(fault)
	}
	fmt.Fprintf(os.Stderr, "%d objects\n", len(objects))
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// decode reads the stream strictly and applies the API's defaults.
func decode(stream io.Reader) (objects []runtime.Object, faults []string) {
	codecs := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(stream))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, faults
		}
		if err != nil {
			return objects, append(faults, err.Error())
		}
		object, _, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			faults = append(faults, err.Error())
		}
		if object != nil {
			legacyscheme.Scheme.Default(object)
			objects = append(objects, object)
		}
	}
}

func validate(object runtime.Object) (faults []string) {
	kind := object.GetObjectKind().GroupVersionKind()
	name := describe(object)
	strategy, known := strategies[kind.GroupKind().String()]
	if !known {
		return []string{name + ": no validation for this kind"}
	}
	hub := schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal}
	internal, err := legacyscheme.Scheme.ConvertToVersion(object, hub)
	if err != nil {
		return []string{name + ": " + err.Error()}
	}
	accessor, _ := meta.Accessor(internal)
	if strategy.NamespaceScoped() && accessor.GetNamespace() == "" {
		accessor.SetNamespace(metav1.NamespaceDefault)
	}
	if !strategy.NamespaceScoped() && accessor.GetNamespace() != "" {
		faults = append(faults, name+": is in a namespace, and its kind in none")
	}
	ctx := request.WithNamespace(context.Background(), accessor.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: kind.Group, APIVersion: kind.Version,
	})
	strategy.PrepareForCreate(ctx, internal)
	for _, err := range strategy.Validate(ctx, internal) {
		faults = append(faults, name+": "+err.Error())
	}
	for _, warning := range strategy.WarningsOnCreate(ctx, internal) {
		faults = append(faults, name+": warning: "+warning)
	}
	return faults
}

// checkPodSecurity applies the level that a namespace of the stream enforces to its pods and templates.
func checkPodSecurity(objects []runtime.Object) (faults []string) {
	levels := map[string]psa.Level{}
	for _, object := range objects {
		if found, is := object.(*corev1.Namespace); is {
			if level := found.Labels[psa.EnforceLevelLabel]; level != "" {
				levels[found.Name] = psa.Level(level)
			}
		}
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	for _, object := range objects {
		space, template := podOf(object)
		level, enforced := levels[space]
		if template == nil || !enforced {
			continue
		}
		at := psa.LevelVersion{Level: level, Version: psa.LatestVersion()}
		for _, result := range evaluator.EvaluatePod(at, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				faults = append(faults, fmt.Sprintf("%s: pod security %s: %s: %s",
					describe(object), level, result.ForbiddenReason, result.ForbiddenDetail))
			}
		}
	}
	return faults
}

func podOf(object runtime.Object) (space string, template *corev1.PodTemplateSpec) {
	switch found := object.(type) {
	case *corev1.Pod:
		return found.Namespace, &corev1.PodTemplateSpec{ObjectMeta: found.ObjectMeta, Spec: found.Spec}
	case *appsv1.DaemonSet:
		return found.Namespace, &found.Spec.Template
	case *appsv1.Deployment:
		return found.Namespace, &found.Spec.Template
	}
	return "", nil
}

func describe(object runtime.Object) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return "an object"
	}
	return object.GetObjectKind().GroupVersionKind().Kind + "/" + accessor.GetName()
}
