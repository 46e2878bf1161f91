import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.ZooKeeperMain;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Apache ZooKeeper's own client and its shell against a server: ZooKeeperClient HOST:PORT COMMANDS-FILE. It prints all that
 * it was told, so that two servers can be compared.
 */
public final class ZooKeeperClient {
    private static final class Events implements Watcher {
        final BlockingQueue<WatchedEvent> queue = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent e) {
            queue.add(e);
        }

        /** The next event, which must come. */
        void next(String who) throws InterruptedException {
            WatchedEvent e = queue.poll(20, TimeUnit.SECONDS);
            System.out.println("  " + who + " " + (e == null ? "hears nothing" : e.getState() + " " + e.getType() + " " + e.getPath()));
        }
    }

    private interface Call {
        Object run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Events events = new Events(), others = new Events();
        ZooKeeper a = new ZooKeeper(args[0] + "/client", 10_000, events);
        events.next("a");
        ZooKeeper b = new ZooKeeper(args[0], 10_000, others);
        others.next("b");
        say("create the chroot", () -> b.create("/client", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        basics(a, b);
        watches(a, b, events, others);
        multi(a);
        access(a, b);
        sessions(args[0], a, b, others);
        a.close();
        b.close();
        shell(args);
        System.exit(0);
    }

    private static void basics(ZooKeeper a, ZooKeeper b) {
        Stat stat = new Stat();
        for (CreateMode mode : CreateMode.values()) {
            say("create " + mode, () -> mode.isTTL()
                    ? a.create("/" + mode, bytes("x"), Ids.OPEN_ACL_UNSAFE, mode, stat, 100_000)
                    : a.create("/" + mode, bytes("x"), Ids.OPEN_ACL_UNSAFE, mode, stat));
        }
        say("create again", () -> a.create("/PERSISTENT", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        say("create below an ephemeral", () -> a.create("/EPHEMERAL/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        say("children", () -> sorted(b.getChildren("/client", false)));
        say("set", () -> a.setData("/PERSISTENT", bytes("y"), 0).getVersion());
        say("set the old version", () -> a.setData("/PERSISTENT", bytes("z"), 0).getVersion());
        say("get", () -> new String(a.getData("/PERSISTENT", false, stat), StandardCharsets.UTF_8) + " version " + stat.getVersion());
        say("exists", () -> a.exists("/none", false));
        say("all below", () -> b.getAllChildrenNumber("/client"));
        say("ephemerals", () -> sorted(a.getEphemerals("/client")));
        say("delete what has children", () -> {
            a.create("/PERSISTENT/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            a.delete("/PERSISTENT", -1);
            return "done";
        });
        say("who am I", a::whoAmI);
        say("reconfig", () -> new String(b.getConfig(false, stat), StandardCharsets.UTF_8));
        say("much data", () -> {
            byte[] much = new byte[900_000];
            Arrays.fill(much, (byte) 7);
            a.create("/much", much, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            return Arrays.equals(much, a.getData("/much", false, null));
        });
    }

    private static void watches(ZooKeeper a, ZooKeeper b, Events events, Events others) throws Exception {
        say("watch", () -> {
            b.getData("/client/PERSISTENT", true, null);
            b.getChildren("/client/PERSISTENT", true);
            b.exists("/client/later", true);
            b.addWatch("/client/CONTAINER", others, AddWatchMode.PERSISTENT_RECURSIVE);
            return "set";
        });
        say("change", () -> a.setData("/PERSISTENT", null, -1).getDataLength());
        others.next("b");
        say("change the children", () -> a.create("/PERSISTENT/y", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        others.next("b");
        say("create", () -> a.create("/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        others.next("b");
        for (int i = 0; i < 3; i++) {
            String path = "/CONTAINER/" + i;
            say("below", () -> a.create(path, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
            others.next("b");
        }
        say("remove", () -> {
            b.removeWatches("/client/CONTAINER", others, Watcher.WatcherType.Any, false);
            return "removed";
        });
        others.next("b");
        System.out.println("  more: " + events.queue + others.queue);
    }

    private static void multi(ZooKeeper a) {
        say("multi", () -> results(a.multi(List.of(
                Op.create("/m", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create("/m/s-", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.setData("/m", bytes("2"), 0), Op.check("/m", 1), Op.delete("/later", -1)))));
        say("multi that fails", () -> {
            try {
                return results(a.multi(List.of(Op.create("/m/2", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.check("/m", 7), Op.delete("/m", -1))));
            } catch (KeeperException e) {
                return e.code() + " " + results(e.getResults());
            }
        });
        say("multi of reads", () -> results(a.multi(List.of(Op.getData("/m"), Op.getChildren("/m"), Op.getData("/none")))));
        say("transaction", () -> results(a.transaction().setData("/m", bytes("3"), 1).check("/m", 2).commit()));
    }

    private static void access(ZooKeeper a, ZooKeeper b) {
        a.addAuthInfo("digest", bytes("ann:secret"));
        say("mine", () -> a.create("/mine", bytes("x"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        say("its ACL", () -> a.getACL("/mine", null));
        say("another's read", () -> b.getData("/client/mine", false, null));
        say("another's write", () -> b.setData("/client/mine", null, -1));
        say("shared", () -> a.setACL("/mine", Arrays.asList(new ACL(Perms.ALL, new Id("auth", "")), new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE)), 0).getAversion());
        say("another's read", () -> new String(b.getData("/client/mine", false, null), StandardCharsets.UTF_8));
        say("another's look at the ACL", () -> b.getACL("/client/mine", null));
    }

    private static void sessions(String address, ZooKeeper a, ZooKeeper b, Events others) throws Exception {
        Events resumed = new Events();
        say("ephemeral", () -> a.create("/e", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        ZooKeeper again = new ZooKeeper(address + "/client", 10_000, resumed, a.getSessionId(), a.getSessionPasswd());
        resumed.next("again");
        say("the session's", () -> again.getEphemerals().contains("/client/e") + " " + (again.getSessionId() == a.getSessionId()));
        b.exists("/client/e", true);
        again.close();
        others.next("b");
        Events strange = new Events();
        ZooKeeper c = new ZooKeeper(address, 10_000, strange, 0x1234, new byte[16]);
        strange.next("a stranger");
        c.close();
    }

    /** Runs the shell's commands in this process. */
    private static void shell(String[] args) throws Exception {
        List<String> lines = java.nio.file.Files.readAllLines(java.nio.file.Path.of(args[1]));
        ZooKeeperMain shell = new ZooKeeperMain(new String[] {"-server", args[0], "-waitforconnection"});
        System.setErr(System.out);
        for (String line : lines) {
            System.out.println("> " + line);
            shell.executeLine(line);
        }
    }

    private static String results(List<OpResult> all) {
        List<String> texts = new ArrayList<>();
        for (OpResult r : all) {
            String text = r.getClass().getSimpleName();
            if (r instanceof OpResult.ErrorResult) {
                text += " " + ((OpResult.ErrorResult) r).getErr();
            } else if (r instanceof OpResult.CreateResult) {
                text += " " + ((OpResult.CreateResult) r).getPath();
            } else if (r instanceof OpResult.SetDataResult) {
                text += " " + ((OpResult.SetDataResult) r).getStat().getVersion();
            } else if (r instanceof OpResult.GetChildrenResult) {
                text += " " + sorted(((OpResult.GetChildrenResult) r).getChildren());
            } else if (r instanceof OpResult.GetDataResult) {
                text += " " + new String(((OpResult.GetDataResult) r).getData(), StandardCharsets.UTF_8);
            }
            texts.add(text);
        }
        return texts.toString();
    }

    private static void say(String what, Call call) {
        String answer;
        try {
            answer = String.valueOf(call.run());
        } catch (KeeperException e) {
            answer = e.code() + " " + e.getPath();
        } catch (Exception e) {
            answer = e.toString();
        }
        System.out.println(what + ": " + answer);
    }

    private static List<String> sorted(List<String> names) {
        List<String> all = new ArrayList<>(names);
        Collections.sort(all);
        return all;
    }

    private static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }
}
