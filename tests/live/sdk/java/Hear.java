// The public Java client, unmodified: says on standard output what it hears, acknowledges each message.
// Called with the gateway's address, a token, and channels to subscribe to besides. It speaks Protobuf only.

import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectedEvent;
import io.github.centrifugal.centrifuge.ConnectingEvent;
import io.github.centrifugal.centrifuge.DisconnectedEvent;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.MessageEvent;
import io.github.centrifugal.centrifuge.Options;
import io.github.centrifugal.centrifuge.PublicationEvent;
import io.github.centrifugal.centrifuge.ServerPublicationEvent;
import io.github.centrifugal.centrifuge.ServerSubscribedEvent;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import io.github.centrifugal.centrifuge.UnsubscribedEvent;
import java.nio.charset.StandardCharsets;

public class Hear {
    public static void main(String[] words) throws Exception {
        Options options = new Options();
        options.setToken(words[1]);
        options.setMinReconnectDelay(20);
        options.setMaxReconnectDelay(50);
        Client client = new Client(words[0], options, new Ears());
        for (int i = 2; i < words.length; i++) {
            client.newSubscription(words[i], new Board()).subscribe();
        }
        client.connect();
        while (System.in.read() >= 0) {
        }
        client.close(1000);
    }

    /** One line of JSON; facts are names and values, in turn. */
    static synchronized void say(String event, Object... facts) {
        StringBuilder line = new StringBuilder("{\"event\":\"" + event + "\"");
        for (int i = 0; i < facts.length; i += 2) {
            line.append(",\"").append(facts[i]).append("\":").append(facts[i + 1]);
        }
        System.out.println(line.append('}'));
        System.out.flush();
    }

    static String quoted(String text) {
        return '"' + text + '"';
    }

    static String json(byte[] data) {
        return data.length == 0 ? "null" : new String(data, StandardCharsets.UTF_8);
    }

    static class Ears extends EventListener {
        @Override
        public void onConnected(Client client, ConnectedEvent event) {
            say("connected", "client", quoted(event.getClient()));
        }

        @Override
        public void onConnecting(Client client, ConnectingEvent event) {
            say("connecting", "code", event.getCode());
        }

        @Override
        public void onDisconnected(Client client, DisconnectedEvent event) {
            say("disconnected", "code", event.getCode(), "reason", quoted(event.getReason()));
            System.exit(0);
        }

        @Override
        public void onSubscribed(Client client, ServerSubscribedEvent event) {
            say("subscribed", "channel", quoted(event.getChannel()), "recovered", event.getRecovered(),
                "recovering", event.wasRecovering());
        }

        @Override
        public void onMessage(Client client, MessageEvent event) {
            say("message", "data", json(event.getData()));
        }

        @Override
        public void onPublication(Client client, ServerPublicationEvent event) {
            long number = event.getOffset();
            say("publication", "channel", quoted(event.getChannel()), "number", number, "data", json(event.getData()));
            byte[] ack = ("{\"number\":" + number + "}").getBytes(StandardCharsets.UTF_8);
            client.rpc("ack", ack, (error, result) -> {
                if (error == null) {
                    say("acked", "number", number);
                }
            });
        }
    }

    static class Board extends SubscriptionEventListener {
        @Override
        public void onSubscribed(Subscription subscription, SubscribedEvent event) {
            say("joined", "channel", quoted(subscription.getChannel()), "data", json(event.getData()));
        }

        @Override
        public void onUnsubscribed(Subscription subscription, UnsubscribedEvent event) {
            say("refused", "channel", quoted(subscription.getChannel()), "code", event.getCode());
        }

        @Override
        public void onPublication(Subscription subscription, PublicationEvent event) {
            say("picture", "channel", quoted(subscription.getChannel()), "data", json(event.getData()));
        }
    }
}
