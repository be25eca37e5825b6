// @EXPECTED_RESULTS@: MEMORY-LIMIT, RUN-ERROR
import java.util.ArrayList;
import java.util.List;

public class MemoryBomb {
    public static void main(String[] args) {
        List<int[]> pieces = new ArrayList<>();
        while (true) pieces.add(new int[1 << 20]);
    }
}
