package broker

import (
	"slices"
	"strings"

	"gregor/internal/config"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Loggers is the levels of this process's log, to be read and set while it runs (KIP-412). The names are those of its
// parts, and "root" for what has no level of its own. Levels are log4j's: TRACE, DEBUG, INFO, WARN, ERROR, FATAL.
type Loggers interface {
	Levels() map[string]string
	// Set gives a part its own level; "" takes it away. It reports false, and changes nothing, if there is no such
	// part or level, or if the level of root is to be taken away.
	Set(part, level string) bool
}

func (b *Broker) loggerEntries() []config.Entry {
	if b.loggers == nil {
		return nil
	}
	levels := b.loggers.Levels()
	var entries []config.Entry
	for _, name := range sortedKeys(levels) {
		level := levels[name]
		entries = append(entries, config.Entry{Name: name, Value: &level, Source: config.SourceBrokerLogger, Type: config.TypeString})
	}
	return entries
}

var logLevels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// alterLoggers changes levels; either all of a request's changes are right or none is made.
func (b *Broker) alterLoggers(res *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	if err := b.isThisBroker(res.ResourceName, "Node", "Unexpected node id. Expected %d, but received %s"); err != nil {
		return err
	}
	if b.loggers == nil {
		return invalidRequest("This broker's log levels cannot be changed.")
	}
	known := b.loggers.Levels()
	for _, c := range res.Configs {
		switch config.Op(c.Op) {
		case config.OpSet:
			if !slices.Contains(logLevels, strings.ToUpper(*c.Value)) {
				return invalidConfig("Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s", c.Name, *c.Value, strings.Join(logLevels, ", "))
			}
			if _, ok := known[c.Name]; !ok {
				return invalidConfig("Logger %s does not exist!", c.Name)
			}
		case config.OpDelete:
			if c.Name == "root" {
				return invalidRequest("Removing the log level of the root logger is not allowed")
			}
			if _, ok := known[c.Name]; !ok {
				return invalidConfig("Logger %s does not exist!", c.Name)
			}
		default:
			return invalidRequest("Operation %d is not supported for log levels", c.Op)
		}
	}
	if validateOnly {
		return nil
	}
	for _, c := range res.Configs {
		level := ""
		if config.Op(c.Op) == config.OpSet {
			level = strings.ToUpper(*c.Value)
		}
		b.loggers.Set(c.Name, level)
	}
	return nil
}
