package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
)

func dumpLogCommand() Command {
	return Command{
		Name: "dump-log", Script: "kafka-dump-log", Summary: "Print segments, indexes and snapshots of a log directory.",
		Build: buildDumpLog,
	}
}

// dumpLogFlags are the options of kafka-dump-log.
type dumpLogFlags struct {
	*Flags
	files, printData, deep, skipMetadata *Flag
	verifyOnly, sanityOnly               *Flag
	maxMessageSize, maxBytes             *Flag
	keyDecoder, valueDecoder             *Flag
	offsets, transactions, metadata      *Flag
	shareState, remoteMetadata           *Flag
}

func buildDumpLog(flags *Flags) Action {
	flags.About = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment."
	flags.Examples = []string{
		"kafka-dump-log.sh --files data/orders-0/00000000000000000000.log --print-data-log",
		"kafka-dump-log.sh --files data/orders-0/00000000000000000000.index,data/orders-0/00000000000000000000.timeindex --verify-index-only",
		"kafka-dump-log.sh --files data/__consumer_offsets-3/00000000000000000000.log --offsets-decoder --skip-record-metadata",
		"kafka-dump-log.sh --files data/__cluster_metadata-0/00000000000000000000.log --cluster-metadata-decoder --output json",
	}
	f := &dumpLogFlags{Flags: flags}
	const stringDecoder = "org.apache.kafka.tools.api.StringDecoder"
	f.files = f.String("files", "file1,file2,...", "The data and index files to dump: .log, .checkpoint, .index, .timeindex, .snapshot, .txnindex.").Required()
	f.printData = f.Switch("print-data-log", "Print the records' contents. Set by every decoder option.")
	f.deep = f.Switch("deep-iteration", "Open every batch and print its records. Set by --print-data-log.")
	f.skipMetadata = f.Switch("skip-record-metadata", "Skip metadata when printing records. This flag also skips control records.")
	f.verifyOnly = f.Switch("verify-index-only", "Verify an index without printing its content.")
	f.sanityOnly = f.Switch("index-sanity-check", "Only make the check that a broker makes when it starts to see whether an index needs to be rebuilt.")
	f.maxMessageSize = f.Int("max-message-size", "size", "Size of the largest message.").Default("5242880")
	f.maxBytes = f.Int("max-bytes", "size", "Read no more than so many bytes of a .log file.").Default("2147483647")
	f.keyDecoder = f.String("key-decoder-class", "class", "How to print keys: StringDecoder, IntegerDecoder, LongDecoder or DefaultDecoder of org.apache.kafka.tools.api.").OptionalArg().Default(stringDecoder)
	f.valueDecoder = f.String("value-decoder-class", "class", "How to print values; as for keys.").OptionalArg().Default(stringDecoder)
	f.offsets = f.Switch("offsets-decoder", "The records are those of __consumer_offsets.")
	f.transactions = f.Switch("transaction-log-decoder", "The records are those of __transaction_state.")
	f.metadata = f.Switch("cluster-metadata-decoder", "The records are those of __cluster_metadata.")
	f.shareState = f.Switch("share-group-state-decoder", "The records are those of __share_group_state.")
	f.remoteMetadata = f.Switch("remote-log-metadata-decoder", "The records are those of __remote_log_metadata. (Not supported yet.)")
	f.Output()
	return f.run
}

func (f *dumpLogFlags) decoder() (dumpDecoder, error) {
	switch {
	case f.offsets.Seen():
		return offsetsDecoder().decode, nil
	case f.transactions.Seen():
		return transactionDecoder().decode, nil
	case f.metadata.Seen():
		return metadataDecoder, nil
	case f.remoteMetadata.Seen():
		return nil, errors.New("--remote-log-metadata-decoder is not supported yet: there is no tiered storage to write such a log")
	case f.shareState.Seen():
		return shareStateDecoder().decode, nil
	}
	key, err := fieldDecoder(f.keyDecoder.Value())
	if err != nil {
		return nil, err
	}
	value, err := fieldDecoder(f.valueDecoder.Value())
	if err != nil {
		return nil, err
	}
	return plainDecoder(key, value), nil
}

func (f *dumpLogFlags) run(ctx context.Context, io IO) error {
	decode, err := f.decoder()
	if err != nil {
		return err
	}
	printData := false
	for _, g := range []*Flag{f.printData, f.offsets, f.transactions, f.metadata, f.shareState, f.keyDecoder, f.valueDecoder} {
		printData = printData || g.Seen()
	}
	out := bufio.NewWriterSize(io.Out, 64<<10)
	d := &dumper{
		ctx: ctx, deep: printData || f.deep.Seen(), printData: printData, decode: decode,
		verifyOnly: f.verifyOnly.Seen(), sanityOnly: f.sanityOnly.Seen(),
		maxMessageSize: int64(f.maxMessageSize.Int()), maxBytes: int64(f.maxBytes.Int()), errors: dumpErrors{},
	}
	d.warn = func(text string) {
		_ = out.Flush() // so that the two streams keep their order on a terminal
		fmt.Fprintln(io.Err, text)
	}
	if f.JSON() {
		d.print = &dumpJSON{w: out}
	} else {
		d.print = &dumpText{w: out, skipMetadata: f.skipMetadata.Seen()}
	}
	for _, file := range strings.Split(f.files.Value(), ",") {
		known, err := d.dump(file)
		if err != nil {
			d.print.end()
			_ = out.Flush()
			return fmt.Errorf("%s: %w", file, err)
		}
		if !known {
			d.warn("Ignoring unknown file " + file)
		}
	}
	d.print.end()
	if err := out.Flush(); err != nil {
		return err
	}
	d.errors.print(io.Err)
	return nil
}

// dumper goes through files and hands what it finds to a printer.
type dumper struct {
	ctx                    context.Context
	print                  dumpPrinter
	deep, printData        bool
	decode                 dumpDecoder
	warn                   func(string)
	verifyOnly, sanityOnly bool
	maxMessageSize         int64
	maxBytes               int64
	errors                 dumpErrors
}

// dump prints one file; known is false when its name says nothing about what it is.
func (d *dumper) dump(file string) (known bool, err error) {
	read := map[string]func(string) error{
		".log": d.dumpSegment, ".checkpoint": d.dumpSegment, ".index": d.dumpOffsetIndex, ".timeindex": d.dumpTimeIndex,
		".snapshot": d.dumpProducers, ".txnindex": d.dumpTransactions,
	}[filepath.Ext(file)]
	if read == nil {
		d.print.begin(file)
		d.print.finish()
		return false, nil
	}
	d.print.begin(file)
	defer d.print.finish()
	return true, read(file)
}

// unlimited is the value of --max-bytes that means no limit.
const unlimited = math.MaxInt32
