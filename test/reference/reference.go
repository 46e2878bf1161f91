// Package reference runs Apache Kafka, which this project is compared with: its tools, its clients and a node of its own.
// It needs Java 17 or later, and Maven the first time, to download a release's jars.
package reference

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"
)

// Version is the release that this project follows, VersionZooKeeper the last one that runs on ZooKeeper: its jars hold
// ZooKeeper 3.8.
const (
	Version          = "4.3.0"
	VersionZooKeeper = "3.9.2"
)

// ErrMissing is wrapped with the name of a program that is needed and is not installed.
var ErrMissing = errors.New("not installed")

// tools are the main classes behind the names of Apache Kafka's scripts, without "kafka-".
var tools = map[string]string{
	"broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"cluster":             "org.apache.kafka.tools.ClusterTool",
	"configs":             "kafka.admin.ConfigCommand",
	"console-consumer":    "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"console-producer":    "org.apache.kafka.tools.ConsoleProducer",
	"consumer-groups":     "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"consumer-perf-test":  "org.apache.kafka.tools.ConsumerPerformance",
	"delete-records":      "org.apache.kafka.tools.DeleteRecordsCommand",
	"dump-log":            "org.apache.kafka.tools.DumpLogSegments",
	"features":            "org.apache.kafka.tools.FeatureCommand",
	"get-offsets":         "org.apache.kafka.tools.GetOffsetShell",
	"groups":              "org.apache.kafka.tools.GroupsCommand",
	"leader-election":     "org.apache.kafka.tools.LeaderElectionCommand",
	"log-dirs":            "org.apache.kafka.tools.LogDirsCommand",
	"metadata-quorum":     "org.apache.kafka.tools.MetadataQuorumCommand",
	"producer-perf-test":  "org.apache.kafka.tools.ProducerPerformance",
	"reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
	"storage":             "kafka.tools.StorageTool",
	"topics":              "org.apache.kafka.tools.TopicCommand",
}

// Tools names the tools that Tool and Runner know, sorted.
func Tools() []string {
	var names []string
	for name := range tools {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var pom = template.Must(template.New("pom").Parse(`<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>gregor</groupId>
  <artifactId>reference</artifactId>
  <version>{{.Version}}</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{{.Version}}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{{.Version}}</version></dependency>
{{- range .More}}
    <dependency><groupId>org.apache.kafka</groupId><artifactId>{{.}}</artifactId><version>{{$.Version}}</version></dependency>
{{- end}}
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`))

// Kafka is one downloaded release.
type Kafka struct {
	dir string // libs/*.jar, classes-*/
}

// Home is where releases are kept: $GREGOR_REFERENCE, or gregor-reference in the user's cache directory.
func Home() (string, error) {
	if dir := os.Getenv("GREGOR_REFERENCE"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "gregor-reference"), nil
}

// Fetch returns the release, with more of its artifacts ("kafka-streams") if they are named, downloading it by Maven if it is
// not there yet. A download that was cut short is repeated.
func Fetch(ctx context.Context, version string, more ...string) (*Kafka, error) {
	home, err := Home()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("java"); err != nil {
		return nil, fmt.Errorf("java (17 or later): %w", ErrMissing)
	}
	name := strings.Join(append([]string{version}, more...), "-")
	k := &Kafka{dir: filepath.Join(home, name)}
	if _, err := os.Stat(k.dir); err == nil {
		return k, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return nil, fmt.Errorf("mvn (Maven), which downloads Apache Kafka %s once: %w", version, ErrMissing)
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	// The directory gets its name when it is complete, so that two downloads at once, or half of one, do no harm.
	part, err := os.MkdirTemp(home, name+".part-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(part)
	f, err := os.Create(filepath.Join(part, "pom.xml"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(pom.Execute(f, struct {
		Version string
		More    []string
	}{version, more}), f.Close()); err != nil {
		return nil, err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs")
	mvn.Dir = part
	if out, err := mvn.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("download Apache Kafka %s: %w\n%s", version, err, out)
	}
	// One logger: the one that writes to standard error and is set from the command line.
	for _, others := range []string{"*slf4j*log4j*", "*slf4j*reload4j*"} {
		jars, err := filepath.Glob(filepath.Join(part, "libs", others))
		if err != nil {
			return nil, err
		}
		for _, jar := range jars {
			os.Remove(jar)
		}
	}
	if err := os.Rename(part, k.dir); err != nil {
		if _, statErr := os.Stat(k.dir); statErr != nil {
			return nil, err
		}
	}
	return k, nil
}

// ClassPath is the release's jars.
func (k *Kafka) ClassPath() string { return filepath.Join(k.dir, "libs", "*") }

// Java is a command that runs a main class on the release's class path, with classes (from Compile) before it.
func (k *Kafka) Java(ctx context.Context, classes, main string, args ...string) *exec.Cmd {
	cp := k.ClassPath()
	if classes != "" {
		cp = classes + string(os.PathListSeparator) + cp
	}
	heap := os.Getenv("HEAP")
	if heap == "" {
		heap = "512m"
	}
	level := os.Getenv("LOG")
	if level == "" {
		level = "error"
	}
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=" + level,
		"-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
		"-cp", cp, main}, args...)...)
}

// fast are the options of Kafka's own scripts, which undo those of Java: a process that is measured has the second compiler
// and the collector that it has at its users'.
var fast = []string{"-XX:TieredStopAtLevel=4", "-XX:-UseSerialGC", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
	"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"}

// FastTool is Tool as Kafka's scripts start one, with their options of Java; heap is "256M" for most, "512M" for perf tests.
func (k *Kafka) FastTool(ctx context.Context, heap, name string, args ...string) (*exec.Cmd, error) {
	main, ok := tools[strings.TrimPrefix(name, "kafka-")]
	if !ok {
		return nil, fmt.Errorf("no tool named %q; known are %s", name, strings.Join(Tools(), ", "))
	}
	all := slices.Concat([]string{"-Xmx" + heap}, fast, []string{main}, args)
	return k.Java(ctx, "", all[0], all[1:]...), nil
}

// Tool is a command that runs one of the release's tools in a Java process of its own.
func (k *Kafka) Tool(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	main, ok := tools[strings.TrimPrefix(name, "kafka-")]
	if !ok {
		return nil, fmt.Errorf("no tool named %q; known are %s", name, strings.Join(Tools(), ", "))
	}
	return k.Java(ctx, "", main, args...), nil
}

// Compile compiles Java sources against the release and returns the directory of the classes. The directory is named
// by the sources' content, so that an unchanged source is compiled once.
func (k *Kafka) Compile(ctx context.Context, sources ...string) (string, error) {
	sum := sha256.New()
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	dir := filepath.Join(k.dir, fmt.Sprintf("classes-%x", sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if _, err := exec.LookPath("javac"); err != nil {
		return "", fmt.Errorf("javac (a JDK, not only a runtime): %w", ErrMissing)
	}
	part, err := os.MkdirTemp(k.dir, "classes.part-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	args := append([]string{"-d", part, "-cp", k.ClassPath(), "-Xlint:-options", "-proc:none"}, sources...)
	if out, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w\n%s", strings.Join(sources, " "), err, out)
	}
	if err := os.Rename(part, dir); err != nil {
		if _, statErr := os.Stat(dir); statErr != nil {
			return "", err
		}
	}
	return dir, nil
}

// sourceDir is the directory of this package's Java sources.
func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "java")
}
