import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
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
 * result: int exitCode (-1: it did not end in time), bytes stdout, bytes stderr
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
        volatile ByteArrayOutputStream to = new ByteArrayOutputStream();

        @Override
        public void write(int b) {
            to.write(b);
        }

        @Override
        public void write(byte[] b, int off, int len) {
            to.write(b, off, len);
        }
    }

    private static volatile Integer exitCode;
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    public static void main(String[] args) throws Exception {
        DataInputStream calls = new DataInputStream(new FileInputStream(FileDescriptor.in));
        DataOutputStream results = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.Procedure exit = (code, message) -> {
            synchronized (Runner.class) {
                if (exitCode == null) {
                    exitCode = code;
                }
            }
            if (message != null) {
                System.err.println(message);
            }
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
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
            InputStream in = new ByteArrayInputStream(bytes(calls));
            out.to = new ByteArrayOutputStream();
            err.to = new ByteArrayOutputStream();
            System.setIn(in);
            exitCode = null;
            HOOKS.clear();
            Thread tool = new Thread(() -> run(main, mainArgs), "tool");
            tool.setDaemon(true);
            tool.start();
            tool.join(timeoutMs);
            int code;
            if (tool.isAlive()) {
                code = -1;
                for (StackTraceElement frame : tool.getStackTrace()) {
                    System.err.println("  at " + frame);
                }
            } else {
                code = exitCode == null ? 0 : exitCode;
            }
            System.out.flush();
            System.err.flush();
            results.writeInt(code);
            write(results, out.to.toByteArray());
            write(results, err.to.toByteArray());
            results.flush();
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
