import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs main classes of Apache Kafka's tools one after the other in one JVM, because starting a JVM for each costs a
 * second or two. Calls come on standard input, results go to standard output, both in big-endian frames:
 *
 * <pre>
 * call:   int timeoutMs, string mainClass, int n, n strings, bytes stdin
 * result: int exitCode, bytes stdout, bytes stderr
 *         exitCode -1: it did not end in time; -2: the JVM ends with the tool and has the tool's exit code
 * </pre>
 *
 * where a string or bytes is an int length and that many bytes.
 */
public final class Runner {
    /** Ends the tool's thread where the tool would have ended the process. */
    private static final class Exited extends Error {
        Exited() {
            super("exit", null, false, false);
        }
    }

    /** The stream behind System.out and System.err. Tools keep what System.out was when they were loaded. */
    private static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream kept = new ByteArrayOutputStream();
        volatile boolean open;

        void open() {
            kept = new ByteArrayOutputStream();
            open = true;
        }

        @Override
        public void close() {
            open = false;
        }

        @Override
        public void write(int b) {
            if (open) {
                kept.write(b);
            }
        }

        @Override
        public void write(byte[] b, int off, int len) {
            if (open) {
                kept.write(b, off, len);
            }
        }
    }

    private static final int TIMED_OUT = -1;
    private static final int ENDED_THE_JVM = -2;

    private static final Switch OUT = new Switch();
    private static final Switch ERR = new Switch();
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>(); // of the tool that runs
    private static DataOutputStream results;
    private static volatile boolean running;
    private static volatile Integer exitCode;

    public static void main(String[] args) throws Exception {
        DataInputStream calls = new DataInputStream(new FileInputStream(FileDescriptor.in));
        results = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        System.setOut(new PrintStream(OUT, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(ERR, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure(Runner::exit);
        Exit.setHaltProcedure(Runner::exit);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        // The tools with subcommands call System.exit when their command line is wrong: the result then goes out here.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (running) {
                reply(ENDED_THE_JVM);
            }
        }));
        for (;;) {
            int timeoutMs;
            try {
                timeoutMs = calls.readInt();
            } catch (EOFException e) {
                Runtime.getRuntime().halt(0);
                return;
            }
            String main = string(calls);
            String[] mainArgs = new String[calls.readInt()];
            for (int i = 0; i < mainArgs.length; i++) {
                mainArgs[i] = string(calls);
            }
            System.setIn(new ByteArrayInputStream(bytes(calls)));
            OUT.open();
            ERR.open();
            exitCode = null;
            running = true;
            HOOKS.clear();
            Thread tool = new Thread(() -> {
                run(main, mainArgs);
                HOOKS.forEach(Runnable::run); // the console producer sends its last records here
            }, "tool");
            tool.setDaemon(true);
            tool.start();
            tool.join(timeoutMs);
            if (tool.isAlive()) {
                for (StackTraceElement frame : tool.getStackTrace()) {
                    System.err.println("  at " + frame);
                }
                reply(TIMED_OUT);
            } else {
                reply(exitCode == null ? 0 : exitCode);
            }
            running = false;
        }
    }

    /** The first exit of a tool counts, and nothing that is printed by a catch block on the way out of it. */
    private static synchronized void exit(int code, String message) {
        if (exitCode == null) {
            if (message != null) {
                System.err.println(message);
            }
            exitCode = code;
            OUT.close();
            ERR.close();
        }
        throw new Exited();
    }

    private static synchronized void reply(int code) {
        try {
            results.writeInt(code);
            write(results, OUT.kept.toByteArray());
            write(results, ERR.kept.toByteArray());
            results.flush();
        } catch (IOException e) {
            Runtime.getRuntime().halt(3); // nobody listens any more
        }
    }

    private static void run(String main, String[] args) {
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                e.getCause().printStackTrace();
                exitCode = 1;
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            exitCode = 1;
        }
    }

    private static String string(DataInputStream in) throws IOException {
        return new String(bytes(in), StandardCharsets.UTF_8);
    }

    private static byte[] bytes(DataInputStream in) throws IOException {
        byte[] b = new byte[in.readInt()];
        in.readFully(b);
        return b;
    }

    private static void write(DataOutputStream out, byte[] b) throws IOException {
        out.writeInt(b.length);
        out.write(b);
    }
}
