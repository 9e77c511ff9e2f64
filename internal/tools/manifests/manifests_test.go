package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const deploy = "../../../deploy"

// documents returns the documents of all manifests, by file and number.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(deploy, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifest in %s: %v", deploy, err)
	}
	all := make(map[string][]byte)
	for _, f := range files {
		if filepath.Base(f) == "alerts.yaml" { // it is for Prometheus
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range regexp.MustCompile(`(?m)^---$`).Split(string(b), -1) {
			all[fmt.Sprintf("%s, document %d", filepath.Base(f), i+1)] = []byte(doc)
		}
	}
	return all
}

// decode reads a document as the type that it says it is. A field that the type does not have, or that is given twice, is an error.
func decode(doc []byte) (any, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return nil, err
	}
	var into any
	switch head.APIVersion + " " + head.Kind {
	case "batch/v1 Job":
		into = new(batchv1.Job)
	case "v1 PersistentVolumeClaim":
		into = new(corev1.PersistentVolumeClaim)
	case "v1 ConfigMap":
		into = new(corev1.ConfigMap)
	case "v1 Pod":
		into = new(corev1.Pod)
	case "apps/v1 DaemonSet":
		into = new(appsv1.DaemonSet)
	case "k8s.cni.cncf.io/v1 NetworkAttachmentDefinition":
		into = new(networkAttachment)
	default:
		return nil, fmt.Errorf("no check for %s %s: add its type here", head.APIVersion, head.Kind)
	}
	asJSON, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	strict, err := json.UnmarshalStrict(asJSON, into) // as the API server does, which minds case too
	return into, errors.Join(append(strict, err)...)
}

// networkAttachment is the NetworkAttachmentDefinition of the Network Plumbing Working Group's standard, version 1: its custom resource has
// these fields and no others.
type networkAttachment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Config string `json:"config"`
	} `json:"spec"`
}

func TestManifests(t *testing.T) {
	claims, used, maps, usedMaps := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, doc := range documents(t) {
		object, err := decode(doc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		switch o := object.(type) {
		case *batchv1.Job:
			checkName(t, name, o.Name)
			for _, v := range o.Spec.Template.Spec.Volumes {
				if v.PersistentVolumeClaim != nil {
					used[v.PersistentVolumeClaim.ClaimName] = true
				}
			}
			checkJob(t, name, &o.Spec)
		case *corev1.ConfigMap:
			checkName(t, name, o.Name)
			maps[o.Name] = true
		case *corev1.Pod:
			checkName(t, name, o.Name)
			checkServer(t, name, &o.Spec)
		case *appsv1.DaemonSet:
			checkName(t, name, o.Name)
			checkServer(t, name, &o.Spec.Template.Spec)
			if !labels.SelectorFromSet(o.Spec.Selector.MatchLabels).Matches(labels.Set(o.Spec.Template.Labels)) {
				t.Errorf("%s: its selector does not find its pods", name)
			}
			for _, v := range o.Spec.Template.Spec.Volumes {
				if v.ConfigMap != nil {
					usedMaps[v.ConfigMap.Name] = true
				}
			}
		case *networkAttachment:
			checkName(t, name, o.Name)
			var plugin struct {
				Version string `json:"cniVersion"`
				Type    string `json:"type"`
			}
			err := json.UnmarshalCaseSensitivePreserveInts([]byte(o.Spec.Config), &plugin)
			if err != nil || plugin.Version == "" || plugin.Type == "" {
				t.Errorf("%s: the plugin's configuration, %+v: %v", name, plugin, err)
			}
		case *corev1.PersistentVolumeClaim:
			checkName(t, name, o.Name)
			claims[o.Name] = true
			if !slices.Contains(o.Spec.AccessModes, corev1.ReadWriteMany) {
				t.Errorf("%s: pods on several nodes write to it: want ReadWriteMany, not %v", name, o.Spec.AccessModes)
			}
		}
	}
	for c := range used {
		if !claims[c] {
			t.Errorf("the claim %s is mounted and not made", c)
		}
	}
	for c := range usedMaps {
		if !maps[c] {
			t.Errorf("the ConfigMap %s is mounted and not made", c)
		}
	}
}

// checkServer finds what a server's pod would have too much of, and what it cannot do without.
func checkServer(t *testing.T, where string, pod *corev1.PodSpec) {
	t.Helper()
	for _, c := range pod.Containers {
		checkMounts(t, where, pod, &c)
		s := c.SecurityContext
		if s == nil || s.Privileged == nil || *s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.SeccompProfile == nil || s.Capabilities == nil {
			t.Errorf("%s: the container %s is not confined", where, c.Name)
			continue
		}
		if !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: %s keeps capabilities that it does not name", where, c.Name)
		}
		for _, need := range []corev1.Capability{"NET_ADMIN", "NET_RAW", "BPF"} {
			if !slices.Contains(s.Capabilities.Add, need) {
				t.Errorf("%s: %s lacks %s", where, c.Name, need)
			}
		}
		if slices.Contains(s.Capabilities.Add, "SYS_ADMIN") {
			t.Errorf("%s: %s has SYS_ADMIN, which it does not need", where, c.Name)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
			t.Errorf("%s: nobody asks %s how it is", where, c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: %s has no bounds", where, c.Name)
		}
	}
}

func checkMounts(t *testing.T, where string, pod *corev1.PodSpec, c *corev1.Container) {
	t.Helper()
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s: no volume is called %s", where, m.Name)
		}
	}
}

func checkName(t *testing.T, where, name string) {
	t.Helper()
	if why := content.IsDNS1123Subdomain(name); len(why) > 0 {
		t.Errorf("%s: the name %q: %v", where, name, why)
	}
}

// checkJob finds what the API server would refuse of a Job, and what would not make one generator of its copies.
func checkJob(t *testing.T, where string, s *batchv1.JobSpec) {
	t.Helper()
	pod := s.Template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%s: the restart policy is %q: a copy that starts again would be late", where, pod.RestartPolicy)
	}
	if s.BackoffLimit == nil || *s.BackoffLimit != 0 {
		t.Errorf("%s: a copy that fails is started again", where)
	}
	for _, c := range pod.Containers {
		if c.Name == "" || c.Image == "" || len(c.Args) == 0 {
			t.Errorf("%s: a container without name, image or arguments", where)
		}
		checkMounts(t, where, &pod, &c)
	}
	if s.CompletionMode == nil || *s.CompletionMode != batchv1.IndexedCompletion {
		return
	}
	if s.Completions == nil || s.Parallelism == nil || *s.Completions != *s.Parallelism {
		t.Errorf("%s: not all copies run at the same time", where)
		return
	}
	if want := fmt.Sprintf("--worker=auto/%d", *s.Completions); !slices.Contains(pod.Containers[0].Args, want) {
		t.Errorf("%s: %d copies, and no %s among %q", where, *s.Completions, want, pod.Containers[0].Args)
	}
	if sel := pod.TopologySpreadConstraints; len(sel) > 0 && sel[0].LabelSelector.MatchLabels["app.kubernetes.io/name"] !=
		s.Template.Labels["app.kubernetes.io/name"] {
		t.Errorf("%s: the copies are spread by a label that they do not have", where)
	}
}

// Mistakes are found: in a name, a type, a place.
func TestMistakes(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(deploy, "merge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"backoffLimit: 0", "backOffLimit: 0"},
		{"backoffLimit: 0", "backoffLimit: none"},
		{"restartPolicy: Never", "restartPolicy: Never\n      image: x"},
		{"backoffLimit: 0", "backoffLimit: 0\n  backoffLimit: 1"},
		{"batch/v1", "batch/v2"},
	} {
		bad := bytes.Replace(good, []byte(c[0]), []byte(c[1]), 1)
		if bytes.Equal(good, bad) {
			t.Fatalf("there is no %q", c[0])
		}
		if _, err := decode(bad); err == nil {
			t.Errorf("%q instead of %q is not found", c[1], c[0])
		}
	}
}

// The arguments are flags of xdpstack's as its help has them.
func TestArguments(t *testing.T) {
	for name, doc := range documents(t) {
		object, err := decode(doc)
		if err != nil {
			continue // TestManifests says so
		}
		var args []string
		switch o := object.(type) {
		case *batchv1.Job:
			args = o.Spec.Template.Spec.Containers[0].Args
		case *appsv1.DaemonSet:
			args = o.Spec.Template.Spec.Containers[0].Args
		case *corev1.Pod:
			args = o.Spec.Containers[0].Args
		default:
			continue
		}
		n := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--") })
		help, err := os.ReadFile("../../../cmd/xdpstack/testdata/help/xdpstack-" + strings.Join(args[:n], "-") + ".txt")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, a := range args[n:] {
			if flag, _, _ := strings.Cut(a, "="); strings.HasPrefix(a, "--") && !bytes.Contains(help, []byte(flag+" ")) {
				t.Errorf("%s: xdpstack %s has no %s", name, strings.Join(args[:n], " "), flag)
			}
		}
	}
}
