# A service whose process is killed is back within ten seconds, and no other is started again because of it.
for unit in $(services); do
    recovers "$unit" kill -KILL
done
